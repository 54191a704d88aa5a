package fairness

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// The dumps show what is going on, in the three tables and the columns that upstream has for it.

func table(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 8, 0, 1, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		if _, err := fmt.Fprintln(t, strings.Join(row, ",\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// each calls f with every level, by name, under its lock.
func (f *Fairness) each(do func(*level)) {
	levels := f.rules.Load().levels
	for _, name := range slices.Sorted(maps.Keys(levels)) {
		levels[name].mu.Lock()
		do(levels[name])
		levels[name].mu.Unlock()
	}
}

// DumpLevels writes a row for each priority level.
func (f *Fairness) DumpLevels(w io.Writer) error {
	var rows [][]string
	f.each(func(l *level) {
		active := 0
		for _, q := range l.set.queues {
			if len(q.waiting) > 0 {
				active++
			}
		}
		row := []string{l.name, strconv.Itoa(active), strconv.FormatBool(l.set.running+l.set.waiting == 0), "false"}
		for _, n := range []int64{int64(l.set.waiting), int64(l.set.running), l.dispatched, l.rejected, l.timedOut, l.cancelled} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		rows = append(rows, row)
	})
	return table(w, []string{"PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
		"DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests"}, rows)
}

// DumpQueues writes a row for each queue with something in it.
func (f *Fairness) DumpQueues(w io.Writer) error {
	var rows [][]string
	f.each(func(l *level) {
		for _, i := range slices.Sorted(maps.Keys(l.set.queues)) {
			q := l.set.queues[i]
			first, most, work := 0, 0, 0.0
			for _, t := range q.waiting {
				first, most, work = first+t.work.Seats, most+t.work.most(), work+charge(t.work, guess)
			}
			rows = append(rows, []string{l.name, strconv.Itoa(i), strconv.Itoa(len(q.waiting)), strconv.Itoa(q.running),
				strconv.Itoa(q.seats), fmt.Sprintf("%.8fss", q.next), strconv.Itoa(first), strconv.Itoa(most), fmt.Sprintf("%.8fss", work)})
		}
	})
	return table(w, []string{"PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
		"InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum"}, rows)
}

// DumpRequests writes a row for each request that waits or is worked on; with details, also what it is about.
func (f *Fairness) DumpRequests(w io.Writer, details bool) error {
	var rows [][]string
	f.each(func(l *level) {
		for _, t := range l.tickets {
			rows = append(rows, t.row(l.name, details))
		}
	})
	header := []string{"PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime",
		"InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime"}
	if details {
		header = append(header, "UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource")
	}
	return table(w, header, rows)
}

func (t *ticket) row(level string, details bool) []string {
	queue, place := -1, -1
	if t.queue != nil {
		queue, place = t.queue.index, slices.Index(t.queue.waiting, t)
	}
	row := []string{level, t.from.name, strconv.Itoa(queue), strconv.Itoa(place), t.from.distinguisher(t.who),
		t.arrived.UTC().Format(time.RFC3339Nano), strconv.Itoa(t.work.Seats), strconv.Itoa(t.work.After), t.work.Longer.String(),
		t.started.UTC().Format(time.RFC3339Nano)}
	if details {
		r := t.who
		version := r.Version
		if r.Group != "" {
			version = r.Group + "/" + version
		}
		row = append(row, r.User, r.Verb, r.Path, r.Namespace, r.Name, version, r.Resource, r.Subresource)
	}
	return row
}
