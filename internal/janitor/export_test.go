package janitor

// Free asks the volume of path.
var Free = free
