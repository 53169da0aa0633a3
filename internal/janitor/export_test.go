package janitor

// LogBytes is what is left of a budget for the log.
const LogBytes = logBytes

// Free asks the volume of path.
var Free = free
