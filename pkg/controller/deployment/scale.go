package deployment

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// surge is how many pods more than wanted may exist, unavailable how many fewer may be available. If both come
// out as 0, which happens when percentages are rounded, nothing could ever move; then one may be unavailable.
func (p *planner) surge() int32       { s, _ := p.fenceposts(); return s }
func (p *planner) unavailable() int32 { _, u := p.fenceposts(); return u }

func (p *planner) fenceposts() (surge, unavailable int32) {
	r, want := p.d.Spec.Strategy.RollingUpdate, *p.d.Spec.Replicas
	if p.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || r == nil {
		return 0, 0
	}
	surge, unavailable = scaled(r.MaxSurge, want, true), scaled(r.MaxUnavailable, want, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, want)
}

func scaled(v *intstr.IntOrString, of int32, up bool) int32 {
	if v == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(v, int(of), up)
	if err != nil {
		return 0 // validation does not let it in
	}
	return int32(n)
}

func sum(sets []*set, of func(*set) int32) (n int32) {
	for _, s := range sets {
		n += of(s)
	}
	return n
}

// newSize is how large the new set may be now.
func (p *planner) newSize() int32 {
	want, size := *p.d.Spec.Replicas, p.fresh.size()
	if p.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return want
	}
	exist := sum(p.old, (*set).size) + size
	room := want + p.surge() - exist
	if room <= 0 {
		return size
	}
	return size + min(room, want-size)
}

// growNew brings the new set towards its size; down at once if fewer are wanted now.
func (p *planner) growNew() bool {
	want, size := *p.d.Spec.Replicas, p.fresh.size()
	if size >= want {
		return p.scale(p.fresh, want, fmt.Sprintf("%d replicas are wanted", want))
	}
	next := p.newSize()
	return p.scale(p.fresh, next, fmt.Sprintf("%d wanted, and %d may exist in all", want, want+p.surge()))
}

// shrinkOld takes from old sets what is not needed to keep the promise of available pods. Pods that are
// not available anyway go first: they cannot be missed, and one that will never start must not hold up the rollout.
//
//	may go  = all pods − promised − new pods that are not available yet
func (p *planner) shrinkOld() bool {
	if sum(p.old, (*set).size) == 0 {
		return false
	}
	promised := *p.d.Spec.Replicas - p.unavailable()
	mayGo := sum(p.all, (*set).size) - promised - (p.fresh.size() - p.fresh.available())
	if mayGo <= 0 {
		return false
	}
	changed := p.shrink(mayGo, func(s *set) int32 { return s.size() - min(s.available(), s.size()) },
		"its pods that are not available are not missed")
	spare := sum(p.all, (*set).available) - promised
	return p.shrink(spare, (*set).size, fmt.Sprintf("%d available, %d promised", promised+spare, promised)) || changed
}

// shrink takes up to n replicas from the old sets, the oldest first, no more than part of each.
func (p *planner) shrink(n int32, part func(*set) int32, why string) bool {
	changed := false
	for _, s := range p.old {
		take := min(n, part(s))
		if take <= 0 {
			continue
		}
		n -= take
		changed = p.scale(s, s.size()-take, why) || changed
	}
	return changed
}

// scaleAll follows a change of the number of replicas, also while paused or in the middle of a rollout.
func (p *planner) scaleAll() {
	want := *p.d.Spec.Replicas
	if one, only := p.activeOrLatest(); only {
		if one != nil && one.size() != want {
			p.scale(one, want, fmt.Sprintf("%d replicas are wanted", want))
		}
	} else if p.saturated() {
		for _, s := range p.old {
			p.scale(s, 0, "the new ReplicaSet is complete")
		}
	} else if p.d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		p.scaleProportionally()
	}
	p.noteAll()
}

// activeOrLatest is the one set that counts if no two have replicas: that with replicas, or the newest.
func (p *planner) activeOrLatest() (s *set, only bool) {
	active := p.active()
	switch {
	case len(active) == 1:
		return active[0], true
	case len(active) > 1:
		return nil, false
	case p.fresh != nil:
		return p.fresh, true
	case len(p.old) > 0:
		return p.old[len(p.old)-1], true
	}
	return nil, true
}

func (p *planner) active() []*set {
	var active []*set
	for _, s := range p.all {
		if s.size() > 0 {
			active = append(active, s)
		}
	}
	return active
}

// saturated says whether the new set has all replicas, all available, and was scaled for the present number.
func (p *planner) saturated() bool {
	if p.fresh == nil {
		return false
	}
	want := *p.d.Spec.Replicas
	noted, ok := number(p.fresh, desiredReplicas)
	return ok && noted == want && p.fresh.size() == want && p.fresh.available() == want
}

// scaleProportionally spreads the difference over the sets by their size, so that a rollout that hangs with a bad template
// does not turn an increase into more bad pods only. What rounding leaves goes to the largest.
func (p *planner) scaleProportionally() {
	sets, allowed := p.active(), int32(0)
	if *p.d.Spec.Replicas > 0 {
		allowed = *p.d.Spec.Replicas + p.surge()
	}
	toAdd := allowed - sum(sets, (*set).size)
	slices.SortStableFunc(sets, func(a, b *set) int {
		if c := cmp.Compare(b.size(), a.size()); c != 0 || toAdd < 0 {
			return c // the sets come oldest first: shrinking takes the older of two equal ones first
		}
		return older(b, a)
	})
	added := int32(0)
	sizes := make([]int32, len(sets))
	for i, s := range sets {
		share := p.share(s, toAdd, added)
		sizes[i] = s.size() + share
		added += share
	}
	for i, s := range sets {
		if i == 0 {
			sizes[i] = max(0, sizes[i]+toAdd-added)
		}
		p.scale(s, sizes[i], fmt.Sprintf("its share of %d replicas", *p.d.Spec.Replicas))
	}
}

// share is one set's part of the replicas to add, or to take if that is negative.
func (p *planner) share(s *set, toAdd, added int32) int32 {
	if toAdd == 0 || toAdd == added {
		return 0
	}
	fraction := p.fraction(s)
	if toAdd > 0 {
		return min(fraction, toAdd-added)
	}
	return max(fraction, toAdd-added)
}

// fraction compares the most pods allowed now with the most allowed when the set was last scaled.
func (p *planner) fraction(s *set) int32 {
	if *p.d.Spec.Replicas == 0 {
		return -s.size()
	}
	before, ok := number(s, maxReplicas)
	if !ok || before == 0 {
		if before = p.d.Status.Replicas; before == 0 {
			return 0
		}
	}
	size := float64(s.size()) * float64(*p.d.Spec.Replicas+p.surge()) / float64(before)
	return int32(math.Round(size)) - s.size()
}

// scale changes the size of a set and says whether it did.
func (p *planner) scale(s *set, to int32, why string) bool {
	from := s.size()
	if from == to {
		return false
	}
	first := *s.Spec.Replicas
	if s.seen != nil {
		first = *s.seen.Spec.Replicas
	}
	s.Spec.Replicas = &to
	p.noteSizes(s)
	p.touch(s, why)
	word := "up"
	if to < first {
		word = "down"
	}
	note := p.note(corev1.EventTypeNormal, "ScalingReplicaSet",
		fmt.Sprintf("Scaled %s replica set %s from %d to %d", word, s.Name, first, to))
	s.note = &note
	return true
}

// noteAll makes the sets with replicas note what they are scaled for, also those whose size stayed.
func (p *planner) noteAll() {
	for _, s := range p.active() {
		if p.noteSizes(s) {
			p.touch(s, fmt.Sprintf("it counts for %d replicas now", *p.d.Spec.Replicas))
		}
	}
}

// noteSizes writes down what the set was scaled for: that is how a later change of the number is noticed and shared out.
func (p *planner) noteSizes(s *set) bool {
	want := *p.d.Spec.Replicas
	desired, most := strconv.Itoa(int(want)), strconv.Itoa(int(want+p.surge()))
	if s.Annotations[desiredReplicas] == desired && s.Annotations[maxReplicas] == most {
		return false
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[desiredReplicas], s.Annotations[maxReplicas] = desired, most
	return true
}
