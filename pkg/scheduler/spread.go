package scheduler

import (
	"math"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// spreadWish is one topology spread constraint with the counts it needs: how many matching pods are in each place that
// the pod could go to, and the least of these. A node passes if one pod more in its place is at most maxSkew above the least.
type spreadWish struct {
	key     string
	maxSkew int
	self    int // 1 if the newcomer matches its own constraint, as it nearly always does
	counts  map[string]int
	least   int
}

func newSpreadWishes(w *wish, s *state) (hard, soft []spreadWish) {
	for i := range w.pod.Spec.TopologySpreadConstraints {
		c := &w.pod.Spec.TopologySpreadConstraints[i]
		if c.WhenUnsatisfiable == v1.DoNotSchedule {
			hard = append(hard, newSpreadWish(w, c, s))
		} else {
			soft = append(soft, newSpreadWish(w, c, s))
		}
	}
	return hard, soft
}

func newSpreadWish(w *wish, c *v1.TopologySpreadConstraint, s *state) spreadWish {
	sw := spreadWish{key: c.TopologyKey, maxSkew: int(c.MaxSkew), counts: map[string]int{}}
	sel, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
	if err != nil {
		sel = labels.Nothing()
	}
	sel = addKeys(sel, w.pod, c.MatchLabelKeys, nil)
	if sel.Matches(labels.Set(w.pod.Labels)) {
		sw.self = 1
	}
	for _, n := range s.nodes {
		if n.node == nil || !eligible(w, c, n) {
			continue
		}
		if v, ok := n.node.Labels[c.TopologyKey]; ok {
			sw.counts[v] += countMatching(n, w.pod.Namespace, sel)
		}
	}
	sw.least = leastOf(sw.counts)
	if c.MinDomains != nil && len(sw.counts) < int(*c.MinDomains) {
		sw.least = 0
	}
	return sw
}

// eligible says whether n's place counts for the skew: a node that the pod's own affinity excludes would otherwise hold
// the least at zero for ever. Both policies are the constraint's, with upstream's defaults.
func eligible(w *wish, c *v1.TopologySpreadConstraint, n *nodeState) bool {
	honorAffinity := c.NodeAffinityPolicy == nil || *c.NodeAffinityPolicy == v1.NodeInclusionPolicyHonor
	if honorAffinity && len(nodeSelection(w, n)) > 0 {
		return false
	}
	honorTaints := c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == v1.NodeInclusionPolicyHonor
	return !honorTaints || len(taints(w, n)) == 0
}

func countMatching(n *nodeState, namespace string, sel labels.Selector) int {
	count := 0
	for _, p := range n.pods {
		if p.pod.Namespace == namespace && p.pod.DeletionTimestamp == nil && sel.Matches(labels.Set(p.pod.Labels)) {
			count++
		}
	}
	return count
}

func leastOf(counts map[string]int) int {
	least := math.MaxInt
	for _, c := range counts {
		least = min(least, c)
	}
	if least == math.MaxInt {
		return 0
	}
	return least
}

func topologySpread(w *wish, n *nodeState) []string {
	for i := range w.spread {
		sw := &w.spread[i]
		v, ok := n.node.Labels[sw.key]
		if !ok {
			return refuse("node(s) didn't match pod topology spread constraints (missing required label)")
		}
		if sw.counts[v]+sw.self-sw.least > sw.maxSkew {
			return refuse("node(s) didn't match pod topology spread constraints")
		}
	}
	return nil
}

// addKeys narrows sel to pods that agree with owner on match and differ from it on mismatch, both label keys.
func addKeys(sel labels.Selector, owner *v1.Pod, match, mismatch []string) labels.Selector {
	narrow := func(keys []string, op selection.Operator) {
		for _, key := range keys {
			v, ok := owner.Labels[key]
			if !ok {
				continue
			}
			if r, err := labels.NewRequirement(key, op, []string{v}); err == nil {
				sel = sel.Add(*r)
			}
		}
	}
	narrow(match, selection.In)
	narrow(mismatch, selection.NotIn)
	return sel
}
