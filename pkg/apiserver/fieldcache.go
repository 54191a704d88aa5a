package apiserver

import (
	"sync"
	"time"

	"bonsai/pkg/resource"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// To find out which fields a new object sets costs more than everything else about creating it, and the answer is nearly always
// the same as for the object before: pods come from templates. So the answers are kept, by all that they follow from: the kind,
// the manager, and the object itself without what is different in each and tracked in none (its name, most of all).
type fieldCache struct {
	mu      sync.Mutex
	entries map[string][]metav1.ManagedFieldsEntry
}

// fieldCacheSize bounds the cache, which starts over when it is full: what is in use is back soon.
const fieldCacheSize = 512

// get returns what the managedFields of an object with this key are, as of now.
func (f *fieldCache) get(key []byte, now time.Time) ([]metav1.ManagedFieldsEntry, bool) {
	f.mu.Lock()
	kept, ok := f.entries[string(key)]
	f.mu.Unlock()
	if !ok {
		return nil, false
	}
	entries := make([]metav1.ManagedFieldsEntry, len(kept))
	at := metav1.NewTime(now.UTC().Truncate(time.Second))
	for i := range kept {
		entries[i] = kept[i]
		entries[i].Time = &at
	}
	return entries, true
}

func (f *fieldCache) put(key []byte, entries []metav1.ManagedFieldsEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.entries == nil || len(f.entries) >= fieldCacheSize {
		f.entries = map[string][]metav1.ManagedFieldsEntry{}
	}
	f.entries[string(key)] = entries
}

// fieldKey is all that the managedFields of a new object follow from; nil if they must be computed, because the object is not
// encoded in protobuf, is unusually large, or comes with managedFields of its own. It changes obj for a moment, which is not
// shared yet.
func fieldKey(gvk schema.GroupVersionKind, obj resource.Object, manager string) []byte {
	const large = 32 << 10
	m, ok := obj.(interface {
		Size() int
		runtime.ProtobufReverseMarshaller
	})
	if !ok || obj.GetManagedFields() != nil {
		return nil
	}
	size := m.Size() // and without what is taken out below, no more
	if size > large {
		return nil
	}
	name, uid, created := obj.GetName(), obj.GetUID(), obj.GetCreationTimestamp()
	obj.SetName("")
	obj.SetUID("")
	obj.SetCreationTimestamp(metav1.Time{})
	defer func() {
		obj.SetName(name)
		obj.SetUID(uid)
		obj.SetCreationTimestamp(created)
	}()
	head := gvk.String() + "\x00" + manager + "\x00"
	key := make([]byte, len(head)+size)
	n, err := m.MarshalToSizedBuffer(key) // from its end
	if err != nil {
		return nil
	}
	key = key[size-n:]
	copy(key, head)
	return key
}
