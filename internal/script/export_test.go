package script

// HomeIn is homeIn.
var HomeIn = homeIn
