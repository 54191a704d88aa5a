package reconcile

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Claim sorts out which children belong to a parent, by the rules that all controllers of workloads share:
//
//	controlled by the parent, labels match        it is the parent's
//	controlled by the parent, labels do not       it is released, unless the parent is being deleted
//	controlled by another                         it is left alone
//	controlled by nobody, labels match            it is adopted, unless either is being deleted
//
// Adopted children count only once the adoption has been seen; until then the plan is to adopt, and nothing else
// should be planned that depends on the number of children. wait says so.
func Claim[T Object](p *Plan, parent Object, gvk schema.GroupVersionKind, selector labels.Selector, children []T) (mine []T, wait bool) {
	going := parent.GetDeletionTimestamp() != nil
	for _, c := range children {
		ref, fits := metav1.GetControllerOf(c), selector.Matches(labels.Set(c.GetLabels()))
		switch {
		case ref != nil && ref.UID != parent.GetUID():
		case ref != nil && fits:
			mine = append(mine, c)
		case ref != nil && !going:
			release(p, parent, c)
		case ref == nil && fits && !going && c.GetDeletionTimestamp() == nil:
			adopt(p, parent, gvk, c)
			wait = true
		}
	}
	return mine, wait
}

// The patches name the UID of the child, so that the server refuses them for another object of the same name.

func adopt(p *Plan, parent Object, gvk schema.GroupVersionKind, child Object) {
	body, _ := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":             child.GetUID(),
		"ownerReferences": []any{metav1.NewControllerRef(parent, gvk)},
	}})
	a := p.Patch(child, body, "%s %s selects it by its labels and nothing controls it: adopt it", gvk.Kind, parent.GetName())
	a.Living = parent
}

func release(p *Plan, parent, child Object) {
	body, _ := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":             child.GetUID(),
		"ownerReferences": []any{map[string]any{"$patch": "delete", "uid": parent.GetUID()}},
	}})
	p.Patch(child, body, "its labels no longer match the selector of %s: release it", parent.GetName())
}
