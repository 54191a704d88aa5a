package reconcile

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
)

// write is one of the loop's own, still to be seen in the cache.
type write struct {
	informer cache.SharedIndexInformer
	target   string
	object   Key
	// version is what a create, update or patch made; for a delete it is "" and uid is what was deleted.
	version string
	uid     types.UID
}

// seen says whether the informer's cache contains the write.
func (w write) seen() bool {
	if w.version == "" {
		return w.deletionSeen()
	}
	order, err := resourceversion.CompareResourceVersion(w.informer.GetStore().LastStoreSyncResourceVersion(), w.version)
	if err == nil {
		return order >= 0
	}
	// The server gives versions that do not compare. Then the object itself has to be there.
	_, found := cached(w.informer, w.object)
	return found
}

func (w write) deletionSeen() bool {
	o, found := cached(w.informer, w.object)
	return !found || o.GetUID() != w.uid || o.GetDeletionTimestamp() != nil
}

// cached is the object that an informer's cache has under a key.
func cached(i cache.SharedIndexInformer, k Key) (Object, bool) {
	item, found, err := i.GetStore().GetByKey(cache.NewObjectName(k.Namespace, k.Name).String())
	if err != nil || !found {
		return nil, false
	}
	o, ok := item.(Object)
	return o, ok
}

// ownWrites are the writes of a loop that its caches have not shown yet, by key.
type ownWrites struct {
	mu    sync.Mutex
	byKey map[Key][]write
}

func (o *ownWrites) note(k Key, w write) {
	if w.informer == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byKey == nil {
		o.byKey = map[Key][]write{}
	}
	o.byKey[k] = append(o.byKey[k], w)
}

// unseen forgets the writes of k that have been seen and describes the first of the others, "" if there is none.
func (o *ownWrites) unseen(k Key) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	left := o.byKey[k]
	for len(left) > 0 && left[0].seen() {
		left = left[1:]
	}
	if len(left) == 0 {
		delete(o.byKey, k)
		return ""
	}
	o.byKey[k] = left
	return fmt.Sprintf("%s (%d writes not seen)", left[0].target, len(left))
}

// noteOf describes the write that an action has been.
func noteOf(r Resource, a Action, answer Object) write {
	w := write{informer: r.Informer(), target: string(a.Verb) + " " + a.Target(), object: KeyOf(a.Object), uid: a.Object.GetUID()}
	if answer != nil {
		w.object, w.version = KeyOf(answer), answer.GetResourceVersion()
	}
	return w
}
