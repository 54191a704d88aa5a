package endpointslice

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile"
)

// maxEndpoints is the size of a slice.
const maxEndpoints = 100

// draft is a slice in the making: what was seen, nil for a new one, and what it shall list.
type draft struct {
	seen      *discoveryv1.EndpointSlice
	endpoints []discoveryv1.Endpoint
	changed   bool
}

// pack distributes the group's endpoints over its slices so that few are written:
//
//  1. each stays in its slice, updated if need be; those no longer wanted are taken out
//  2. new ones go into slices that changed in 1, the fullest first
//  3. if the rest fits into one slice that did not change, into that which it fills best
//  4. what is left gets new slices
func (g *group) pack(b *batch, family discoveryv1.AddressType) {
	wanted := map[string]discoveryv1.Endpoint{}
	for _, e := range g.endpoints {
		wanted[identity(e)] = e
	}
	drafts := g.keep(wanted)
	var rest []discoveryv1.Endpoint
	for _, e := range g.endpoints { // in their order, so that equal states give equal plans
		if _, left := wanted[identity(e)]; left {
			rest = append(rest, e)
		}
	}
	rest = fillChanged(drafts, rest)
	for len(rest) > 0 {
		d := bestFit(drafts, len(rest))
		if d == nil {
			d = &draft{}
			drafts = append(drafts, d)
		}
		rest = d.fill(rest)
	}
	for _, d := range drafts {
		b.settle(d, g.ports, family)
	}
}

// identity tells endpoints apart: the same pod with other addresses is another endpoint.
func identity(e discoveryv1.Endpoint) string {
	uid := ""
	if e.TargetRef != nil {
		uid = string(e.TargetRef.UID)
	}
	return uid + " " + strings.Join(e.Addresses, ",")
}

// keep is step 1. It takes out of wanted what has its place.
func (g *group) keep(wanted map[string]discoveryv1.Endpoint) []*draft {
	var drafts []*draft
	for _, slice := range g.slices {
		d := &draft{seen: slice}
		for _, e := range slice.Endpoints {
			want, ok := wanted[identity(e)]
			d.changed = d.changed || !ok || !equality.Semantic.DeepEqual(want, e)
			if ok {
				d.endpoints = append(d.endpoints, want)
				delete(wanted, identity(e))
			}
		}
		drafts = append(drafts, d)
	}
	return drafts
}

// fillChanged is step 2.
func fillChanged(drafts []*draft, rest []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	var changed []*draft
	for _, d := range drafts {
		if d.changed {
			changed = append(changed, d)
		}
	}
	slices.SortStableFunc(changed, func(a, b *draft) int { return cmp.Compare(len(b.endpoints), len(a.endpoints)) })
	for _, d := range changed {
		rest = d.fill(rest)
	}
	return rest
}

// bestFit is step 3: the fullest slice that has room for n more.
func bestFit(drafts []*draft, n int) (best *draft) {
	for _, d := range drafts {
		if !d.changed && len(d.endpoints)+n <= maxEndpoints && (best == nil || len(d.endpoints) > len(best.endpoints)) {
			best = d
		}
	}
	return best
}

// fill adds endpoints up to the size of a slice and returns the others.
func (d *draft) fill(rest []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	n := min(len(rest), maxEndpoints-len(d.endpoints))
	if n > 0 {
		d.endpoints, d.changed = append(d.endpoints, rest[:n]...), true
	}
	return rest[n:]
}

// placeholder keeps one empty slice for a Service without endpoints.
func (g *group) placeholder(b *batch, family discoveryv1.AddressType) {
	var keep *draft
	for _, slice := range g.slices {
		if keep == nil {
			keep = &draft{seen: slice, changed: len(slice.Endpoints) > 0}
			continue
		}
		b.drop(slice, "one empty slice is enough")
	}
	if keep == nil {
		keep = &draft{changed: true}
	}
	b.write(keep, nil, family)
}

// batch collects what is to be done with the slices of a Service.
type batch struct {
	service          *corev1.Service
	created, updated []change
	dropped          []change
}

type change struct {
	seen, next *discoveryv1.EndpointSlice
	why        string
}

func (b *batch) drop(slice *discoveryv1.EndpointSlice, why string, args ...any) {
	b.dropped = append(b.dropped, change{seen: slice, why: fmt.Sprintf(why, args...)})
}

// settle decides what becomes of a draft.
func (b *batch) settle(d *draft, ports []discoveryv1.EndpointPort, family discoveryv1.AddressType) {
	if len(d.endpoints) == 0 && d.seen != nil {
		b.drop(d.seen, "none of its endpoints is left")
		return
	}
	b.write(d, ports, family)
}

// write notes a creation, or an update if the endpoints or the Service's labels changed.
func (b *batch) write(d *draft, ports []discoveryv1.EndpointPort, family discoveryv1.AddressType) {
	why := fmt.Sprintf("%d endpoints, %d of them ready", len(d.endpoints), ready(d.endpoints))
	if d.seen == nil {
		b.created = append(b.created, change{next: b.newSlice(d.endpoints, ports, family), why: why})
		return
	}
	next := d.seen.DeepCopy()
	next.Labels = b.labels()
	if d.changed {
		next.Endpoints = d.endpoints
	}
	if !equality.Semantic.DeepEqual(d.seen, next) {
		b.updated = append(b.updated, change{seen: d.seen, next: next, why: why})
	}
}

func ready(endpoints []discoveryv1.Endpoint) (n int) {
	for _, e := range endpoints {
		if *e.Conditions.Ready {
			n++
		}
	}
	return n
}

func (b *batch) newSlice(endpoints []discoveryv1.Endpoint, ports []discoveryv1.EndpointPort, family discoveryv1.AddressType) *discoveryv1.EndpointSlice {
	if endpoints == nil {
		endpoints = []discoveryv1.Endpoint{}
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName:    b.service.Name + "-",
			Namespace:       b.service.Namespace,
			Labels:          b.labels(),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(b.service, corev1.SchemeGroupVersion.WithKind("Service"))},
		},
		AddressType: family,
		Endpoints:   endpoints,
		Ports:       ports,
	}
}

// labels are the Service's and those by which slices are found.
func (b *batch) labels() map[string]string {
	l := maps.Clone(b.service.Labels)
	if l == nil {
		l = map[string]string{}
	}
	delete(l, corev1.IsHeadlessService)
	if ip := b.service.Spec.ClusterIP; ip == "" || ip == corev1.ClusterIPNone {
		l[corev1.IsHeadlessService] = ""
	}
	l[discoveryv1.LabelServiceName] = b.service.Name
	l[discoveryv1.LabelManagedBy] = managedBy
	return l
}

// plan is the batch as actions. A slice to be dropped takes the place of one to be created where it can: one write
// instead of two, and no moment in which a reader sees neither.
func (b *batch) plan() reconcile.Plan {
	var p reconcile.Plan
	for _, c := range b.created {
		if i := slices.IndexFunc(b.dropped, func(d change) bool { return b.reusable(d.seen, c.next) }); i >= 0 {
			seen := b.dropped[i].seen
			next := seen.DeepCopy()
			next.Endpoints, next.Ports, next.Labels = c.next.Endpoints, c.next.Ports, c.next.Labels
			b.updated = append(b.updated, change{seen: seen, next: next, why: c.why})
			b.dropped = slices.Delete(b.dropped, i, i+1)
			continue
		}
		if b.service.DeletionTimestamp == nil { // the garbage collector would be after it at once
			p.Create(c.next, "%s", c.why)
		}
	}
	for _, c := range b.updated {
		p.Update(c.seen, c.next, "%s", c.why)
	}
	for _, c := range b.dropped {
		p.Delete(c.seen, "%s", c.why)
	}
	return p
}

func (b *batch) reusable(dropped, wanted *discoveryv1.EndpointSlice) bool {
	return dropped.AddressType == wanted.AddressType && metav1.IsControlledBy(dropped, b.service)
}
