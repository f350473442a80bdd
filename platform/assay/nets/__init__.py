"""Networks: their specifications, encoders, heads, pre-trained weights and costs."""
