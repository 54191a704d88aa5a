package fairness

import (
	"math"
	"time"
)

// What requests cost. One that gets or writes one object takes a seat. A list takes one for each 100 kB that it holds in memory at once,
// of at most a megabyte, since lists are sent in pieces. A write takes more for a while after its end if many watch what it changes.

const (
	bytesPerSeat    = 100_000
	bytesAtOnce     = 1_000_000
	mostListSeats   = 100
	mostWriteSeats  = 10
	watchersPerSeat = 10
	// perWatcher is how long a seat is taken by an event for watchersPerSeat watchers.
	perWatcher = 5 * time.Millisecond
	// levelPart is how much of a level one request may take.
	levelPart = 0.15
)

// Stored is how many objects there are of a kind, and how large they are together.
type Stored struct {
	Objects int
	Bytes   int64
}

// List is the work of a list, or of a watch that begins with one. limit is the page's, or zero; single says that it is of one name.
func List(of Stored, limit int64, single bool, most int) Work {
	if of.Objects == 0 {
		return Work{Seats: 1}
	}
	objects := int64(of.Objects)
	if limit > 0 {
		objects = min(objects, limit)
	}
	if single {
		objects = 1
	}
	held := min(objects*(of.Bytes/int64(of.Objects)), bytesAtOnce)
	return Work{Seats: clamp(ceilDiv(held, bytesPerSeat), most, mostListSeats)}
}

// Write is the work of a write that so many watchers will be told of.
func Write(watchers, most int) Work {
	if watchers < watchersPerSeat {
		return Work{Seats: 1}
	}
	seats := int(ceilDiv(int64(watchers), watchersPerSeat))
	after := clamp(int64(seats), most, mostWriteSeats)
	return Work{Seats: 1, After: after, Longer: time.Duration(float64(seats) * float64(perWatcher) / float64(after))}
}

// clamp is seats, at least one, at most what the level allows (0: it has no opinion) and at most cap.
func clamp(seats int64, most, cap int) int {
	if most == 0 || most > cap {
		most = cap
	}
	return int(max(1, min(seats, int64(most))))
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// widest is the seats that one request may take of a level with queues.
func widest(nominal, hand int) int {
	return int(max(1, min(math.Ceil(float64(nominal)*levelPart), float64(nominal/max(hand, 1)))))
}
