package fairness

import (
	"math"
	"time"
)

// demand follows how many seats a level wants, taken and waited for, over one period: what the level should have got.
type demand struct {
	since, at     time.Time
	now           float64
	area, squares float64 // of demand over time, and of its square
	high          float64
}

// set notes that the demand is v from now on.
func (d *demand) set(v int, now time.Time) {
	if d.since.IsZero() {
		d.since, d.at = now, now
	}
	if elapsed := now.Sub(d.at).Seconds(); elapsed > 0 {
		d.area += d.now * elapsed
		d.squares += d.now * d.now * elapsed
		d.at = now
	}
	d.now = float64(v)
	d.high = max(d.high, d.now)
}

// wanted is what a period has shown.
type wanted struct{ average, deviation, high float64 }

// take ends the period.
func (d *demand) take(now time.Time) wanted {
	d.set(int(d.now), now)
	w := wanted{high: d.high, average: d.now}
	if took := now.Sub(d.since).Seconds(); took > 0 {
		w.average = d.area / took
		w.deviation = math.Sqrt(max(0, d.squares/took-w.average*w.average))
	}
	*d = demand{since: now, at: now, now: d.now, high: d.now}
	return w
}

// smoothing keeps half of what a level wanted for five minutes, at one look every ten seconds.
const smoothing = 0.977

// smooth is the demand that a level is given seats for: it follows a rise at once and a fall slowly.
func smooth(before float64, w wanted) float64 {
	envelope := w.average + w.deviation
	return max(envelope, smoothing*before+(1-smoothing)*envelope)
}
