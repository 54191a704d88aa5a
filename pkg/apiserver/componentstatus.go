package apiserver

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"

	"bonsai/pkg/store"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// Component is a part of the control plane whose health componentstatuses tells. Check says what is wrong with it.
type Component struct {
	Name  string
	Check func(context.Context) error
}

// components are those that the server was told of, and etcd.
func (s *Server) components() []Component {
	all := append(slices.Clone(s.cfg.Components), Component{Name: "etcd-0", Check: s.checkStore})
	slices.SortFunc(all, func(a, b Component) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// componentStatus asks one.
func componentStatus(ctx context.Context, one Component) *corev1.ComponentStatus {
	condition := corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue, Message: "ok"}
	if err := one.Check(ctx); err != nil {
		condition = corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionFalse, Error: err.Error()}
	}
	return &corev1.ComponentStatus{ObjectMeta: metav1.ObjectMeta{Name: one.Name}, Conditions: []corev1.ComponentCondition{condition}}
}

func (s *Server) getComponentStatus(c *call) error {
	for _, one := range s.components() {
		if one.Name == c.t.name {
			return s.answerLive(c, http.StatusOK, componentStatus(c.ctx(), one))
		}
	}
	return apierrors.NewNotFound(corev1.Resource("componentstatus"), c.t.name)
}

// listComponentStatuses asks all at once, as one that hangs holds up the answer long enough.
func (s *Server) listComponentStatuses(c *call) error {
	l, err := listOptions(c)
	if err != nil {
		return err
	}
	all := s.components()
	statuses := make([]*corev1.ComponentStatus, len(all))
	var asked sync.WaitGroup
	for i, one := range all {
		asked.Go(func() { statuses[i] = componentStatus(c.ctx(), one) })
	}
	asked.Wait()
	statuses = slices.DeleteFunc(statuses, func(o *corev1.ComponentStatus) bool {
		return !l.labels.Matches(labels.Set(o.Labels)) || !l.fields.Matches(fields.Set(c.t.row.FieldSet(o)))
	})
	return s.answerComponentStatuses(c, statuses)
}

// answerComponentStatuses sends a list as such, and in other shapes as if it were from the store.
func (s *Server) answerComponentStatuses(c *call, statuses []*corev1.ComponentStatus) error {
	list, page := &corev1.ComponentStatusList{Items: []corev1.ComponentStatus{}}, &store.Page{}
	for _, o := range statuses {
		list.Items = append(list.Items, *o)
		value, err := c.t.row.EncodeStorage(o)
		if err != nil {
			return err
		}
		page.Objects = append(page.Objects, &store.Object{Key: o.Name, Value: value})
	}
	if c.f.shape == whole {
		return s.answerOther(c, http.StatusOK, c.t.ver.WithKind("ComponentStatusList"), list)
	}
	return s.answerShaped(c, page, list.ListMeta)
}
