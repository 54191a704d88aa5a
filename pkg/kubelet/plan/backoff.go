package plan

import "time"

// The back-off of a container that keeps ending: none the first time, then 10 s, doubled up to 5 min, and none
// again for one that ran for 10 min.
const (
	FirstBackOff = 10 * time.Second
	MaxBackOff   = 5 * time.Minute
	forgetAfter  = 2 * MaxBackOff
)

// NextBackOff returns the delay that is to follow one, when the run before it ended so long before this one's end.
func NextBackOff(delay, ran time.Duration) time.Duration {
	if delay == 0 || ran > forgetAfter {
		return FirstBackOff
	}
	return min(2*delay, MaxBackOff)
}
