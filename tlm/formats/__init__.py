"""Files of text in every format that the project reads or writes: one table of formats for training and prediction."""
