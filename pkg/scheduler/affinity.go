package scheduler

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Affinity between pods is about places: a place is a topology key with a value, and a node lies in the place that its
// label of that key names. The naive test asks, for each node, all pods of all nodes. Instead one walk over the placed
// pods counts, per place, those that matter to the newcomer; each node then only looks its own places up.

// place is one value of a topology key.
type place struct{ key, value string }

// term is an affinity term made ready to match pods.
type term struct {
	key        string
	selector   labels.Selector
	namespaces []string
	// spaces selects namespaces by their labels, which spaceLabels knows; nil selects none.
	spaces      labels.Selector
	spaceLabels map[string]labels.Set
}

// affinityWish counts, per place, what speaks for and against the newcomer.
type affinityWish struct {
	attract, repel []term // its own required terms
	// per term: how many placed pods match it in each place
	attracted, repelled []map[place]int
	// forbidden are the places where a placed pod's own anti-affinity keeps the newcomer out.
	forbidden map[place]int
	// first is true if no placed pod matches any attract term, but the newcomer matches all of them itself: then it may
	// go anywhere, or the first pod of a group that wants to be together could never start.
	first bool
}

func hasRequiredAntiAffinity(pod *v1.Pod) bool {
	a := pod.Spec.Affinity
	return a != nil && a.PodAntiAffinity != nil && len(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0
}

func hasRequiredAffinity(pod *v1.Pod) bool {
	a := pod.Spec.Affinity
	return a != nil && a.PodAffinity != nil && len(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0
}

func newAffinityWish(pod *v1.Pod, s *state) *affinityWish {
	w := &affinityWish{forbidden: map[place]int{}}
	if a := pod.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			w.attract = newTerms(s, pod, a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		if a.PodAntiAffinity != nil {
			w.repel = newTerms(s, pod, a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
	}
	if len(w.attract)+len(w.repel)+s.withAffinity == 0 {
		return nil
	}
	w.attracted, w.repelled = newCounts(len(w.attract)), newCounts(len(w.repel))
	for _, n := range s.nodes {
		if n.node == nil {
			continue
		}
		for _, p := range n.pods {
			w.count(s, pod, p.pod, n.node)
		}
	}
	w.first = !anyCount(w.attracted) && matchesAll(w.attract, pod)
	return w
}

// count takes a placed pod and its node into account.
func (w *affinityWish) count(s *state, newcomer, placed *v1.Pod, node *v1.Node) {
	tally(w.attracted, w.attract, placed, node)
	tally(w.repelled, w.repel, placed, node)
	if !hasRequiredAntiAffinity(placed) {
		return
	}
	for _, t := range newTerms(s, placed, placed.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) {
		if v, ok := node.Labels[t.key]; ok && t.matches(newcomer) {
			w.forbidden[place{t.key, v}]++
		}
	}
}

func tally(counts []map[place]int, terms []term, placed *v1.Pod, node *v1.Node) {
	for i, t := range terms {
		if v, ok := node.Labels[t.key]; ok && t.matches(placed) {
			counts[i][place{t.key, v}]++
		}
	}
}

func podAffinity(w *wish, n *nodeState) []string {
	a := w.affinity
	if a == nil {
		return nil
	}
	for i, t := range a.attract {
		v, ok := n.node.Labels[t.key]
		if !ok || (a.attracted[i][place{t.key, v}] == 0 && !a.first) {
			return refuse("node(s) didn't match pod affinity rules")
		}
	}
	for i, t := range a.repel {
		if v, ok := n.node.Labels[t.key]; ok && a.repelled[i][place{t.key, v}] > 0 {
			return refuse("node(s) didn't match pod anti-affinity rules")
		}
	}
	for p := range a.forbidden {
		if n.node.Labels[p.key] == p.value {
			return refuse("node(s) didn't satisfy existing pods anti-affinity rules")
		}
	}
	return nil
}

func newTerms(s *state, owner *v1.Pod, in []v1.PodAffinityTerm) []term {
	out := make([]term, 0, len(in))
	for i := range in {
		out = append(out, newTerm(owner, &in[i], s))
	}
	return out
}

// newTerm resolves matchLabelKeys against owner's own labels.
func newTerm(owner *v1.Pod, in *v1.PodAffinityTerm, s *state) term {
	t := term{key: in.TopologyKey, namespaces: in.Namespaces, selector: labels.Nothing(), spaceLabels: s.namespaces}
	if in.LabelSelector != nil {
		if sel, err := metav1.LabelSelectorAsSelector(in.LabelSelector); err == nil {
			t.selector = addKeys(sel, owner, in.MatchLabelKeys, in.MismatchLabelKeys)
		}
	}
	if in.NamespaceSelector != nil {
		if sel, err := metav1.LabelSelectorAsSelector(in.NamespaceSelector); err == nil {
			t.spaces = sel
		}
	} else if len(t.namespaces) == 0 {
		t.namespaces = []string{owner.Namespace}
	}
	return t
}

func (t *term) matches(pod *v1.Pod) bool {
	return t.inSpace(pod.Namespace) && t.selector.Matches(labels.Set(pod.Labels))
}

func (t *term) inSpace(namespace string) bool {
	return slices.Contains(t.namespaces, namespace) || t.spaces != nil && t.spaces.Matches(t.spaceLabels[namespace])
}

func matchesAll(terms []term, pod *v1.Pod) bool {
	for i := range terms {
		if !terms[i].matches(pod) {
			return false
		}
	}
	return len(terms) > 0
}

func newCounts(n int) []map[place]int {
	counts := make([]map[place]int, n)
	for i := range counts {
		counts[i] = map[place]int{}
	}
	return counts
}

func anyCount(counts []map[place]int) bool {
	for _, c := range counts {
		if len(c) > 0 {
			return true
		}
	}
	return false
}

// preference is a preferred term of the newcomer with how many placed pods match it in each place; the weight of
// anti-affinity is negative.
type preference struct {
	term   term
	weight int64
	counts map[place]int
}

func newPreferences(pod *v1.Pod, s *state) (prefs []preference) {
	a := pod.Spec.Affinity
	if a == nil {
		return nil
	}
	add := func(terms []v1.WeightedPodAffinityTerm, sign int64) {
		for i := range terms {
			t := newTerm(pod, &terms[i].PodAffinityTerm, s)
			prefs = append(prefs, preference{term: t, weight: sign * int64(terms[i].Weight), counts: countTerm(&t, s)})
		}
	}
	if a.PodAffinity != nil {
		add(a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution, 1)
	}
	if a.PodAntiAffinity != nil {
		add(a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, -1)
	}
	return prefs
}

func countTerm(t *term, s *state) map[place]int {
	counts := map[place]int{}
	for _, n := range s.nodes {
		if n.node == nil {
			continue
		}
		v, ok := n.node.Labels[t.key]
		for _, p := range n.pods {
			if ok && t.matches(p.pod) {
				counts[place{t.key, v}]++
			}
		}
	}
	return counts
}
