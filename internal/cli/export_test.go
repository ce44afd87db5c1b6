package cli

import "time"

// Patient keeps commands from telling how long they took: on a busy machine a session's
// output would have lines that it does not have elsewhere.
func Patient() { long = time.Hour }
