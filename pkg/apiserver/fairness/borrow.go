package fairness

import (
	"cmp"
	"maps"
	"math"
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// The seats of the server are divided twice. By configuration, each level gets its nominal share; of that it may lend a part, and it
// may borrow up to a limit. And by need: what levels do not use goes to those that want more, each within its bounds, and so that
// all get the same fraction of what they want. Both are plain arithmetic, without state.

// bounds are a level's seats by configuration: Low is what it never lends, High what it may have with all it may borrow.
type bounds struct{ nominal, low, high int }

// divide gives each level its bounds.
func divide(levels map[string]*flowcontrolv1.PriorityLevelConfigurationSpec, seats int) map[string]bounds {
	total := 0.0
	for _, spec := range levels {
		total += float64(sharesOf(spec))
	}
	out := map[string]bounds{}
	for name, spec := range levels {
		b := bounds{}
		if total > 0 {
			b.nominal = int(math.Ceil(float64(seats) * float64(sharesOf(spec)) / total))
		}
		lend, borrow := seatParts(spec)
		b.low = b.nominal - percentOf(b.nominal, lend)
		b.high = b.nominal + seats
		if borrow != nil {
			b.high = b.nominal + percentOf(b.nominal, borrow)
		}
		out[name] = b
	}
	return out
}

func percentOf(n int, percent *int32) int {
	if percent == nil {
		return 0
	}
	return int(math.Round(float64(n) * float64(*percent) / 100))
}

func sharesOf(spec *flowcontrolv1.PriorityLevelConfigurationSpec) int32 {
	switch {
	case spec.Limited != nil && spec.Limited.NominalConcurrencyShares != nil:
		return *spec.Limited.NominalConcurrencyShares
	case spec.Exempt != nil && spec.Exempt.NominalConcurrencyShares != nil:
		return *spec.Exempt.NominalConcurrencyShares
	}
	return 0
}

func seatParts(spec *flowcontrolv1.PriorityLevelConfigurationSpec) (lend, borrow *int32) {
	switch {
	case spec.Limited != nil:
		return spec.Limited.LendablePercent, spec.Limited.BorrowingLimitPercent
	case spec.Exempt != nil:
		return spec.Exempt.LendablePercent, nil
	}
	return nil, nil
}

// need is what one level comes with to a division by need.
type need struct {
	bounds
	exempt   bool
	high     float64 // the most that was wanted in the last period
	smoothed float64
}

// least is what the level keeps whatever others want: what it has used, within its own.
func (n need) least() int {
	used := int(math.Round(n.high))
	if n.exempt {
		return max(n.low, used)
	}
	return max(n.low, min(n.nominal, used))
}

// lend divides all nominal seats by need. Exempt levels take what they use first.
func lend(needs map[string]need) (limits map[string]int, fraction float64) {
	limits = map[string]int{}
	left, low, least := 0, 0, 0
	for name, n := range needs {
		left += n.nominal
		if n.exempt {
			limits[name] = n.least()
			left -= n.least()
		} else {
			low += n.low
			least += n.least()
		}
	}
	if left > least {
		fraction = fairFraction(needs, float64(left))
	}
	for name, n := range needs {
		switch {
		case n.exempt:
		case left <= low:
			limits[name] = n.low
		case left <= least:
			part := float64(left-low) / float64(least-low)
			limits[name] = n.low + int(math.Round(float64(n.least()-n.low)*part))
		default:
			limits[name] = int(math.Round(n.at(fraction)))
		}
	}
	return limits, fraction
}

// at is the level's seats if everybody gets that fraction of what they want.
func (n need) at(fraction float64) float64 {
	target := max(float64(n.least()), n.smoothed, 0.001)
	return min(max(fraction*target, float64(n.least())), float64(n.ceiling()))
}

// ceiling is the most the level may get: what it has used is not taken from it.
func (n need) ceiling() int { return max(n.bounds.high, n.least()) }

// fairFraction finds the fraction at which the levels together get seats, by halving: what they get only grows with it.
func fairFraction(needs map[string]need, seats float64) float64 {
	names := slices.SortedFunc(maps.Keys(needs), cmp.Compare[string])
	sum := func(fraction float64) float64 {
		total := 0.0
		for _, name := range names {
			if !needs[name].exempt {
				total += needs[name].at(fraction)
			}
		}
		return total
	}
	low, high := 0.0, 1.0
	for sum(high) < seats && high < 1e9 {
		high *= 2
	}
	for range 60 {
		if middle := (low + high) / 2; sum(middle) < seats {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
