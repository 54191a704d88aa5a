package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	resourcehelper "k8s.io/component-helpers/resource"
)

// limitRangerAnnotation says in a pod what was filled in.
const limitRangerAnnotation = "kubernetes.io/limit-ranger"

// LimitRanger gives containers the requests and limits that they leave out and a LimitRange of their namespace has defaults for, and
// holds containers, pods and claims to its bounds. What an update leaves as it is is not judged again: it was accepted once.
type LimitRanger struct {
	ranges func(ctx context.Context, namespace string) ([]*corev1.LimitRange, error)
}

func newLimitRanger(d Deps) LimitRanger {
	return LimitRanger{inNamespaces[*corev1.LimitRange](d, schema.GroupResource{Resource: "limitranges"})}
}

// Name is upstream's.
func (LimitRanger) Name() string { return "LimitRanger" }

// about says whether the request can come to more or less resources. Those of a pod change by a resize alone.
func (LimitRanger) about(a *Attributes) bool {
	switch {
	case a.is("pods"):
		return a.Operation == Create
	case a.is("pods/resize"):
		return a.Operation == Update
	}
	return a.writes("persistentvolumeclaims")
}

// limits returns the LimitRanges that the request has to keep to.
func (p LimitRanger) limits(ctx context.Context, a *Attributes) ([]*corev1.LimitRange, error) {
	if !p.about(a) {
		return nil, nil
	}
	if old, ok := a.Old.(metav1.Object); ok && old.GetDeletionTimestamp() != nil {
		return nil, nil
	}
	ranges, err := p.ranges(ctx, a.Namespace)
	if err != nil {
		return nil, a.forbidden("unable to %s %v at this time because there was an error enforcing limit ranges", a.Operation, a.resource())
	}
	return ranges, nil
}

// Admit fills in the defaults.
func (p LimitRanger) Admit(ctx context.Context, a *Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return nil
	}
	ranges, err := p.limits(ctx, a)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		setResources(pod, r)
	}
	return nil
}

// setResources fills in the defaults of one LimitRange and notes what they were.
func setResources(pod *corev1.Pod, r *corev1.LimitRange) {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	for _, item := range r.Spec.Limits {
		if item.Type == corev1.LimitTypeContainer {
			maps.Copy(requests, item.DefaultRequest)
			maps.Copy(limits, item.Default)
		}
	}
	var notes []string
	for _, of := range []struct {
		what       string
		containers []corev1.Container
	}{{"container", pod.Spec.Containers}, {"init container", pod.Spec.InitContainers}} {
		for i := range of.containers {
			c := &of.containers[i]
			if set := fillIn(&c.Resources.Requests, requests); set != "" {
				notes = append(notes, fmt.Sprintf("%s request for %s %s", set, of.what, c.Name))
			}
			if set := fillIn(&c.Resources.Limits, limits); set != "" {
				notes = append(notes, fmt.Sprintf("%s limit for %s %s", set, of.what, c.Name))
			}
		}
	}
	if len(notes) == 0 {
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[limitRangerAnnotation] = "LimitRanger plugin set: " + strings.Join(notes, "; ")
}

// fillIn sets what of defaults the list has not, and returns the names of that.
func fillIn(list *corev1.ResourceList, defaults corev1.ResourceList) string {
	var set []string
	for _, name := range sortedNames(defaults) {
		if _, has := (*list)[name]; has {
			continue
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = defaults[name].DeepCopy()
		set = append(set, string(name))
	}
	return strings.Join(set, ", ")
}

func sortedNames(list corev1.ResourceList) []corev1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}

// Validate refuses what is out of bounds. Of several LimitRanges, the first that refuses has its say, with all its reasons.
func (p LimitRanger) Validate(ctx context.Context, a *Attributes) error {
	ranges, err := p.limits(ctx, a)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		var errs []error
		for i := range r.Spec.Limits {
			errs = append(errs, outOfBounds(&r.Spec.Limits[i], a)...)
		}
		if err := utilerrors.NewAggregate(errs); err != nil {
			return a.forbidden("%w", err)
		}
	}
	return nil
}

// outOfBounds judges by one item of a LimitRange.
func outOfBounds(item *corev1.LimitRangeItem, a *Attributes) []error {
	switch next := a.Object.(type) {
	case *corev1.Pod:
		old, _ := a.Old.(*corev1.Pod)
		if item.Type == corev1.LimitTypePod {
			return podBounds(item, next, old)
		}
		if item.Type == corev1.LimitTypeContainer {
			return containerBounds(item, next, old)
		}
	case *corev1.PersistentVolumeClaim:
		old, _ := a.Old.(*corev1.PersistentVolumeClaim)
		if item.Type == corev1.LimitTypePersistentVolumeClaim {
			return claimBounds(item, next, old)
		}
	}
	return nil
}

func podBounds(item *corev1.LimitRangeItem, next, old *corev1.Pod) []error {
	total := func(p *corev1.Pod) *amounts {
		if p == nil {
			return nil
		}
		o := resourcehelper.PodResourcesOptions{ExcludeOverhead: true}
		return &amounts{resourcehelper.PodRequests(p, o), resourcehelper.PodLimits(p, o)}
	}
	return bounds(item, *total(next), total(old))
}

func containerBounds(item *corev1.LimitRangeItem, next, old *corev1.Pod) (errs []error) {
	before := map[string]*amounts{}
	each := func(p *corev1.Pod, do func(*corev1.Container)) {
		for _, cs := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
			for i := range cs {
				do(&cs[i])
			}
		}
	}
	if old != nil {
		each(old, func(c *corev1.Container) { before[c.Name] = &amounts{c.Resources.Requests, c.Resources.Limits} })
	}
	each(next, func(c *corev1.Container) {
		errs = append(errs, bounds(item, amounts{c.Resources.Requests, c.Resources.Limits}, before[c.Name])...)
	})
	return errs
}

// amounts are what is asked for and what is allowed at most.
type amounts struct{ requests, limits corev1.ResourceList }

// rule judges the quantities of one resource by a bound of an item.
type rule func(of string, kind corev1.LimitType, bound resource.Quantity, q quantities) error

// bounds judges amounts; before is what they were, nil if they are new.
func bounds(item *corev1.LimitRangeItem, now amounts, before *amounts) []error {
	return slices.Concat(judge(item.Type, item.Min, atLeast, now, before), judge(item.Type, item.Max, atMost, now, before),
		judge(item.Type, item.MaxLimitRequestRatio, atRatio, now, before))
}

func judge(kind corev1.LimitType, list corev1.ResourceList, by rule, now amounts, before *amounts) (errs []error) {
	for _, name := range sortedNames(list) {
		q := now.of(name)
		if before != nil && q.same(before.of(name)) {
			continue
		}
		if err := by(string(name), kind, list[name], q); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// quantities are amounts of one resource; nil if there is none.
type quantities struct{ request, limit *resource.Quantity }

func (a amounts) of(name corev1.ResourceName) (q quantities) {
	if request, ok := a.requests[name]; ok {
		q.request = &request
	}
	if limit, ok := a.limits[name]; ok {
		q.limit = &limit
	}
	return q
}

func (q quantities) same(other quantities) bool {
	same := func(a, b *resource.Quantity) bool {
		return a == nil && b == nil || a != nil && b != nil && a.Cmp(*b) == 0
	}
	return same(q.request, other.request) && same(q.limit, other.limit)
}

func atLeast(of string, kind corev1.LimitType, bound resource.Quantity, q quantities) error {
	begin := fmt.Sprintf("minimum %s usage per %s is %s", of, kind, &bound)
	switch {
	case q.request == nil:
		return errors.New(begin + ".  No request is specified")
	case bound.Cmp(*q.request) > 0:
		return fmt.Errorf("%s, but request is %s", begin, q.request)
	case q.limit != nil && bound.Cmp(*q.limit) > 0:
		return fmt.Errorf("%s, but limit is %s", begin, q.limit)
	}
	return nil
}

func atMost(of string, kind corev1.LimitType, bound resource.Quantity, q quantities) error {
	begin := fmt.Sprintf("maximum %s usage per %s is %s", of, kind, &bound)
	switch {
	case q.limit == nil:
		return errors.New(begin + ".  No limit is specified")
	case q.limit.Cmp(bound) > 0:
		return fmt.Errorf("%s, but limit is %s", begin, q.limit)
	case q.request != nil && q.request.Cmp(bound) > 0:
		return fmt.Errorf("%s, but request is %s", begin, q.request)
	}
	return nil
}

func atRatio(of string, kind corev1.LimitType, bound resource.Quantity, q quantities) error {
	begin := fmt.Sprintf("%s max limit to request ratio per %s is %s", of, kind, &bound)
	switch {
	case q.request == nil || q.request.IsZero():
		return errors.New(begin + ", but no request is specified or request is 0")
	case q.limit == nil || q.limit.IsZero():
		return errors.New(begin + ", but no limit is specified or limit is 0")
	}
	ratio := new(big.Rat).Quo(exact(*q.limit), exact(*q.request))
	if ratio.Cmp(exact(bound)) > 0 {
		return fmt.Errorf("%s, but provided ratio is %s", begin, ratio.FloatString(6))
	}
	return nil
}

// exact is a quantity as a fraction: a ratio of large memories must not be rounded.
func exact(q resource.Quantity) *big.Rat {
	d := q.AsDec()
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(d.Scale(), -d.Scale()))), nil)
	if d.Scale() < 0 {
		return new(big.Rat).SetInt(scale.Mul(scale, d.UnscaledBig()))
	}
	return new(big.Rat).SetFrac(d.UnscaledBig(), scale)
}

// claimBounds judges what a claim asks for. Claims have no limits.
func claimBounds(item *corev1.LimitRangeItem, next, old *corev1.PersistentVolumeClaim) []error {
	now, before := amounts{requests: next.Spec.Resources.Requests}, (*amounts)(nil)
	if old != nil {
		before = &amounts{requests: old.Spec.Resources.Requests}
	}
	return append(judge(item.Type, item.Min, atLeast, now, before), judge(item.Type, item.Max, requestAtMost, now, before)...)
}

func requestAtMost(of string, kind corev1.LimitType, bound resource.Quantity, q quantities) error {
	begin := fmt.Sprintf("maximum %s usage per %s is %s", of, kind, &bound)
	switch {
	case q.request == nil:
		return errors.New(begin + ".  No request is specified")
	case q.request.Cmp(bound) > 0:
		return fmt.Errorf("%s, but request is %s", begin, q.request)
	}
	return nil
}
