package store

import "sync/atomic"

// forms are an object's cached encodings.
type forms [numForms]atomic.Pointer[[]byte]

// Form returns the encoding f of o, from the cache or made now by encode. Two callers at once may both make it; all
// get the same bytes from then on.
func (o *Object) Form(f Form, encode func(*Object) ([]byte, error)) ([]byte, error) {
	if b := o.forms[f].Load(); b != nil {
		return *b, nil
	}
	b, err := encode(o)
	if err != nil {
		return nil, err
	}
	if !o.forms[f].CompareAndSwap(nil, &b) {
		return *o.forms[f].Load(), nil
	}
	return b, nil
}

// Pair is one label or field.
type Pair struct{ Key, Value string }

// Set is labels or fields in key order: a small sorted slice instead of a map, because there is one for each
// object. It implements labels.Labels and fields.Fields of apimachinery.
type Set []Pair
