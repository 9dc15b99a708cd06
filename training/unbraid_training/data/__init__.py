"""Reading, cleaning and splitting of events and items; free of torch."""
