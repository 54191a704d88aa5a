package replicaset

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// victim is a pod to be deleted and what spoke against it.
type victim struct {
	*corev1.Pod
	why string
}

// candidate is a pod with what the rules look at, computed once.
type candidate struct {
	pod      *corev1.Pod
	cost     int
	siblings int
	restarts int32
	ready    bool
	since    time.Time
}

// rule orders two candidates: negative if a goes first. why is said of the one that goes.
type rule struct {
	why     string
	compare func(a, b *candidate, now time.Time) int
}

// rules are upstream's ranks, in order; each decides only between pods that are equal under all before it. Ages are compared by their
// logarithm: of pods that are all about a week old any may go, so that a scale-down does not always hit the pods of the
// node that came last.
var rules = []rule{
	{"it has no node yet", func(a, b *candidate, _ time.Time) int {
		return no(a.pod.Spec.NodeName != "", b.pod.Spec.NodeName != "")
	}},
	{"it does not run yet", func(a, b *candidate, _ time.Time) int {
		return phaseRank[a.pod.Status.Phase] - phaseRank[b.pod.Status.Phase]
	}},
	{"it is not ready", func(a, b *candidate, _ time.Time) int { return no(a.ready, b.ready) }},
	{"its deletion cost is lower", func(a, b *candidate, _ time.Time) int { return cmp.Compare(a.cost, b.cost) }},
	{"its node has more siblings", func(a, b *candidate, _ time.Time) int { return b.siblings - a.siblings }},
	{"it became ready later", func(a, b *candidate, now time.Time) int {
		if !a.ready {
			return 0
		}
		return younger(a.since, b.since, now)
	}},
	{"it has restarted more often", func(a, b *candidate, _ time.Time) int { return cmp.Compare(b.restarts, a.restarts) }},
	{"it is younger", func(a, b *candidate, now time.Time) int {
		return younger(a.pod.CreationTimestamp.Time, b.pod.CreationTimestamp.Time, now)
	}},
	{"they are all alike", func(a, b *candidate, _ time.Time) int { return strings.Compare(string(a.pod.UID), string(b.pod.UID)) }},
}

var phaseRank = map[corev1.PodPhase]int{corev1.PodPending: 0, corev1.PodUnknown: 1, corev1.PodRunning: 2}

// victims picks n of the active pods.
func victims(active, beside []*corev1.Pod, n int, now time.Time) []victim {
	ranked := candidates(active, beside)
	slices.SortStableFunc(ranked, func(a, b *candidate) int {
		_, c := decide(a, b, now)
		return c
	})
	var chosen []victim
	for i, c := range ranked[:n] {
		why := "all go"
		if n < len(ranked) {
			why, _ = decide(ranked[i], ranked[n], now) // against the first that stays
		}
		chosen = append(chosen, victim{c.pod, why})
	}
	return chosen
}

// decide compares two pods and names the rule that did.
func decide(a, b *candidate, now time.Time) (string, int) {
	for _, r := range rules {
		if c := r.compare(a, b, now); c != 0 {
			return r.why, c
		}
	}
	return "they are all alike", 0
}

func candidates(active, beside []*corev1.Pod) []*candidate {
	onNode := map[string]int{}
	for _, pods := range [][]*corev1.Pod{active, beside} {
		live, _ := sort(pods)
		for _, pod := range live {
			onNode[pod.Spec.NodeName]++
		}
	}
	all := make([]*candidate, 0, len(active))
	for _, pod := range active {
		c := &candidate{pod: pod, siblings: onNode[pod.Spec.NodeName], restarts: restarts(pod)}
		c.cost, _ = strconv.Atoi(pod.Annotations[corev1.PodDeletionCost]) // 0 if it is not a number
		c.since, c.ready = readySince(pod)
		all = append(all, c)
	}
	return all
}

// no puts the one without something first.
func no(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// younger puts the later time first, and an unknown one before all.
func younger(a, b, now time.Time) int {
	switch {
	case a.Equal(b):
		return 0
	case a.IsZero():
		return -1
	case b.IsZero():
		return 1
	}
	return magnitude(now.Sub(a)) - magnitude(now.Sub(b))
}

func magnitude(age time.Duration) int {
	if age <= 0 {
		return -1
	}
	return int(math.Log2(float64(age)))
}

// restarts is the count of the container that has restarted most.
func restarts(pod *corev1.Pod) (most int32) {
	for _, s := range pod.Status.ContainerStatuses {
		most = max(most, s.RestartCount)
	}
	for _, s := range pod.Status.InitContainerStatuses {
		most = max(most, s.RestartCount)
	}
	return most
}
