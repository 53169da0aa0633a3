package api

// Limits that tests fill up.
const (
	LargeBody    = largeBody
	SmallSum     = smallSum
	MaxMetadata  = maxMetadata
	MaxEvents    = maxEvents
	MaxConns     = maxConns
	ReserveConns = reserveConns
	MaxGuesses   = maxGuesses
)

// IntakeFree returns how many bytes of smallSum are free, and whether the place for
// a large body is.
func (s *Server) IntakeFree() (small int64, large bool) {
	s.intake.mu.Lock()
	defer s.intake.mu.Unlock()
	return *s.intake.free, len(s.intake.large) == 0
}

// MaxStreams is how many clients may watch.
const MaxStreams = maxStreams

// QueryRoutes returns the paths of what is asked of the record.
func (s *Server) QueryRoutes() (paths []string) {
	for _, r := range s.routes() {
		if r.method == "GET" && !r.open && r.path != "/metrics" {
			paths = append(paths, r.path)
		}
	}
	return paths
}
