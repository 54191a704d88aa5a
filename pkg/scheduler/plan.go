package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// decision is what plan says of one pod: a node and why that one, or no node and why none.
type decision struct {
	node   string // empty: none fits
	reason string // in words; upstream's where upstream has them
	// feasible counts the nodes that passed, of all that there are.
	feasible, all int
}

// plan decides on a node for pod. It changes nothing.
//
// Every node goes through the filters in their order and is out at the first that says no; those that are left get the
// weighted sum of the scores, and the highest wins. Among equals the one with the fewest pods wins, then the first by
// name, so that the same state always gives the same decision.
func plan(pod *v1.Pod, s *state) decision {
	w := newWish(pod, s)
	d := decision{}
	refusals := map[string]int{}
	var feasible []*nodeState
	for _, n := range s.nodes {
		if n.node == nil {
			continue
		}
		d.all++
		if whys := w.refusals(n); len(whys) > 0 {
			for _, why := range whys {
				refusals[why]++
			}
			continue
		}
		feasible = append(feasible, n)
	}
	d.feasible = len(feasible)
	if len(feasible) == 0 {
		d.reason = noNode(d.all, refusals)
		return d
	}
	if len(feasible) == 1 {
		d.node = feasible[0].name
		d.reason = fmt.Sprintf("%s is the only one of %d nodes that fits", d.node, d.all)
		return d
	}
	best, total := w.best(feasible)
	d.node = best.name
	d.reason = fmt.Sprintf("%s scores highest (%d) of the %d of %d nodes that fit", best.name, total, d.feasible, d.all)
	return d
}

// refusals returns why the first filter that refuses n does so, nil if all pass. Only the resources filter gives
// several reasons at once.
func (w *wish) refusals(n *nodeState) []string {
	for _, f := range filters {
		if whys := f(w, n); len(whys) > 0 {
			return whys
		}
	}
	return nil
}

func (w *wish) best(feasible []*nodeState) (*nodeState, int64) {
	totals := make([]int64, len(feasible))
	for _, sc := range scores {
		points := make([]int64, len(feasible))
		for i, n := range feasible {
			points[i] = sc.points(w, n)
		}
		if sc.normalize != nil {
			sc.normalize(points)
		}
		for i, p := range points {
			totals[i] += sc.weight * p
		}
	}
	b := 0
	for i := range feasible {
		if better(totals[i], feasible[i], totals[b], feasible[b]) {
			b = i
		}
	}
	return feasible[b], totals[b]
}

func better(ta int64, a *nodeState, tb int64, b *nodeState) bool {
	if ta != tb {
		return ta > tb
	}
	if len(a.pods) != len(b.pods) {
		return len(a.pods) < len(b.pods)
	}
	return a.name < b.name
}

// noNode is the message of a FailedScheduling event.
func noNode(all int, refusals map[string]int) string {
	if all == 0 {
		return "no nodes available to schedule pods"
	}
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(refusals)) {
		parts = append(parts, fmt.Sprintf("%d %s", refusals[why], why))
	}
	slices.Sort(parts)
	return fmt.Sprintf("0/%d nodes are available: %s.", all, strings.Join(parts, ", "))
}
