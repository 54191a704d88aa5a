package reconcile

import (
	"errors"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Source is a kind whose changes wake a loop.
type Source struct {
	Informer cache.SharedIndexInformer
	// Keys are what to plan anew when this object appears, changes or goes. For a change it is asked about both
	// the old and the new object, so that whoever lost something is woken too.
	Keys func(o Object) []Key
	// Changed, if set, says which changes matter.
	Changed func(old, next Object) bool
}

// Self wakes the key of the object itself.
func Self(o Object) []Key { return []Key{KeyOf(o)} }

// Owner wakes the controller of an object, if it is of the given kind.
func Owner(kind string) func(Object) []Key {
	return func(o Object) []Key {
		ref := metav1.GetControllerOf(o)
		if ref == nil || ref.Kind != kind {
			return nil
		}
		return []Key{{Namespace: o.GetNamespace(), Name: ref.Name}}
	}
}

// watchAll adds a handler for each source. It returns what to wait for, and how to take the handlers away.
func watchAll(sources []Source, add func(Key)) ([]cache.InformerSynced, func(), error) {
	var synced []cache.InformerSynced
	var undo []func() error
	unwatch := func() {
		for _, u := range undo {
			_ = u()
		}
	}
	for _, s := range sources {
		registration, err := s.Informer.AddEventHandler(s.handler(add))
		if err != nil {
			unwatch()
			return nil, nil, err
		}
		synced = append(synced, registration.HasSynced)
		undo = append(undo, func() error { return s.Informer.RemoveEventHandler(registration) })
	}
	return synced, unwatch, nil
}

func (s Source) handler(add func(Key)) cache.ResourceEventHandler {
	wake := func(item any) {
		for _, k := range s.Keys(item.(Object)) {
			add(k)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: wake,
		UpdateFunc: func(old, next any) {
			if s.matters(old.(Object), next.(Object)) {
				wake(old)
				wake(next)
			}
		},
		DeleteFunc: func(item any) {
			if gone, ok := item.(cache.DeletedFinalStateUnknown); ok {
				item = gone.Obj
			}
			wake(item)
		},
	}
}

// matters drops the repetitions that a relist brings, and what the source does not care for.
func (s Source) matters(old, next Object) bool {
	if old.GetResourceVersion() == next.GetResourceVersion() && old.GetResourceVersion() != "" {
		return false
	}
	return s.Changed == nil || s.Changed(old, next)
}

// indexing lets the loops of a process add their indexes at the same time.
var indexing sync.Mutex

// Index adds an index to an informer's cache, unless a loop of the same process has done so.
func Index(informer cache.SharedIndexInformer, name string, values func(Object) []string) error {
	indexing.Lock()
	defer indexing.Unlock()
	if _, have := informer.GetIndexer().GetIndexers()[name]; have {
		return nil
	}
	return informer.AddIndexers(cache.Indexers{name: func(item any) ([]string, error) {
		o, ok := item.(Object)
		if !ok {
			return nil, errors.New("not an API object")
		}
		return values(o), nil
	}})
}

// Indexed returns what the index has under a value.
func Indexed[T Object](informer cache.SharedIndexInformer, name, value string) ([]T, error) {
	items, err := informer.GetIndexer().ByIndex(name, value)
	if err != nil {
		return nil, err
	}
	found := make([]T, 0, len(items))
	for _, i := range items {
		found = append(found, i.(T))
	}
	return found, nil
}
