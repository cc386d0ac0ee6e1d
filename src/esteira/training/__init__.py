"""From a training set to a judged challenger: split, fit, evaluate, gate. Pure: nothing is read or written here."""
