package scheduler

import (
	"math"
	"slices"

	v1 "k8s.io/api/core/v1"
)

// maxPoints is what the best node for one score gets.
const maxPoints = 100

// scoring is one score: points gives a node's, normalize, if any, brings all nodes' into 0..maxPoints.
type scoring struct {
	weight    int64
	points    func(w *wish, n *nodeState) int64
	normalize func([]int64)
}

// scores with upstream's default weights.
var scores = []scoring{
	{weight: 3, points: preferNoTaint, normalize: fewestIsBest}, // TaintToleration
	{weight: 2, points: preferredNodes, normalize: mostIsBest},  // NodeAffinity
	{weight: 1, points: leastAllocated},                         // NodeResourcesFit
	{weight: 1, points: balanced},                               // NodeResourcesBalancedAllocation
	{weight: 2, points: softSpread, normalize: fewestIsBest},    // PodTopologySpread
	{weight: 2, points: preferredPods, normalize: betweenBest},  // InterPodAffinity
	{weight: 1, points: imageLocality},                          // ImageLocality
}

// mostIsBest scales so that the largest becomes maxPoints.
func mostIsBest(points []int64) {
	most := slices.Max(points)
	for i := range points {
		if most > 0 {
			points[i] = points[i] * maxPoints / most
		}
	}
}

// fewestIsBest turns the scale round: none is maxPoints, the largest is 0.
func fewestIsBest(points []int64) {
	mostIsBest(points)
	for i := range points {
		points[i] = maxPoints - points[i]
	}
}

// betweenBest is for points that may be negative: the smallest becomes 0, the largest maxPoints.
func betweenBest(points []int64) {
	least, most := slices.Min(points), slices.Max(points)
	for i := range points {
		if most > least {
			points[i] = (points[i] - least) * maxPoints / (most - least)
		}
	}
}

func preferNoTaint(w *wish, n *nodeState) (count int64) {
	for i := range n.node.Spec.Taints {
		t := &n.node.Spec.Taints[i]
		if t.Effect == v1.TaintEffectPreferNoSchedule && !tolerates(w.pod, t) {
			count++
		}
	}
	return count
}

func preferredNodes(w *wish, n *nodeState) int64 {
	if w.preferred == nil {
		return 0
	}
	return w.preferred.Score(n.node)
}

// fractions are the shares of cpu and memory in use if the pod were there, 0..1.
func fractions(w *wish, n *nodeState) (cpu, memory float64) {
	share := func(used, asked, all int64) float64 {
		if all == 0 {
			return 1
		}
		return min(1, float64(used+asked)/float64(all))
	}
	return share(n.scored.milliCPU, w.score.milliCPU, n.allocatable.milliCPU),
		share(n.scored.memory, w.score.memory, n.allocatable.memory)
}

func leastAllocated(w *wish, n *nodeState) int64 {
	cpu, memory := fractions(w, n)
	return int64(maxPoints * (2 - cpu - memory) / 2)
}

// balanced prefers the node where cpu and memory would be used alike, so that neither is stranded.
func balanced(w *wish, n *nodeState) int64 {
	cpu, memory := fractions(w, n)
	return int64(maxPoints * (1 - math.Abs(cpu-memory)/2))
}

func softSpread(w *wish, n *nodeState) (count int64) {
	for i := range w.softSpread {
		sw := &w.softSpread[i]
		if v, ok := n.node.Labels[sw.key]; ok {
			count += int64(sw.counts[v])
		} else {
			count += int64(len(n.pods))
		}
	}
	return count
}

// preferredPods sums the weights of the pod's preferred affinity terms over the pods in the node's places.
func preferredPods(w *wish, n *nodeState) (points int64) {
	for _, p := range w.prefers {
		if v, ok := n.node.Labels[p.term.key]; ok {
			points += p.weight * int64(p.counts[place{p.term.key, v}])
		}
	}
	return points
}

// Images below minImage are pulled about as fast as noticed, above maxImage size makes no more difference.
const (
	minImage = 23 << 20
	maxImage = 1000 << 20
)

// imageLocality prefers nodes that hold the pod's images already, by their size.
func imageLocality(w *wish, n *nodeState) int64 {
	var sum int64
	for i := range w.pod.Spec.Containers {
		sum += imageSize(n.node, w.pod.Spec.Containers[i].Image)
	}
	limit := int64(maxImage * len(w.pod.Spec.Containers))
	sum = min(max(sum, minImage), limit)
	return maxPoints * (sum - minImage) / (limit - minImage)
}

func imageSize(node *v1.Node, name string) int64 {
	for i := range node.Status.Images {
		if slices.Contains(node.Status.Images[i].Names, name) {
			return node.Status.Images[i].SizeBytes
		}
	}
	return 0
}
