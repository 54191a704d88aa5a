package store

import (
	"sync"
	"sync/atomic"
	"weak"
)

// form is one cached encoding. used is set by each reader and cleared by the clock that looks for what to drop.
type form struct {
	bytes []byte
	maker uint64
	used  atomic.Bool
}

// Form returns the encoding f of o, from the cache or made now by encode. Two callers at once may both make it;
// all get the same bytes for as long as the cache has them. The bytes must not be changed.
func (o *Object) Form(f Form, encode func(*Object) ([]byte, error)) ([]byte, error) {
	return o.FormBy(0, f, encode)
}

// FormBy is Form where not all callers make the same of an object. The cache has room for one encoding of each form: that of
// another maker is replaced.
func (o *Object) FormBy(maker uint64, f Form, encode func(*Object) ([]byte, error)) ([]byte, error) {
	have := o.forms[f].Load()
	if have != nil && have.maker == maker {
		if !have.used.Load() { // a plain load first: a shared cache line is not to be written by every reader
			have.used.Store(true)
		}
		return have.bytes, nil
	}
	b, err := encode(o)
	if err != nil {
		return nil, err
	}
	if !o.forms[f].CompareAndSwap(have, &form{bytes: b, maker: maker}) {
		if have := o.forms[f].Load(); have != nil && have.maker == maker {
			return have.bytes, nil
		}
		return b, nil // theirs is dropped already, or of another maker
	}
	o.counted(f, len(b))
	return b, nil
}

// keep gives o, which nobody else sees yet, an encoding.
func (o *Object) keep(f Form, made *form) {
	o.forms[f].Store(made)
	o.counted(f, len(made.bytes))
}

// counted enters an encoding that o has got in the books.
func (o *Object) counted(f Form, size int) {
	if o.cache != nil {
		o.cache.add(o, f, size)
	}
}

// formCache keeps the total of all cached encodings within a budget. Encodings wait in a queue in the order they
// were made; when the budget is exceeded the oldest is looked at: used since the last look, it goes to the end of
// the queue, otherwise it is dropped (the clock algorithm). The reader's share in this is one atomic flag.
//
// The queue points weakly: an object that is gone from the image and from all watchers is collected with its
// encodings, whether or not the clock has come by.
type formCache struct {
	mu     sync.Mutex
	budget int64
	bytes  int64
	queue  []formEntry
	head   int
}

type formEntry struct {
	object weak.Pointer[Object]
	form   Form
	size   int
}

func (c *formCache) add(o *Object, f Form, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, formEntry{weak.Make(o), f, size})
	c.bytes += int64(size)
	for c.bytes > c.budget { // ends within two rounds: the first clears every used flag
		c.tick()
	}
}

// tick looks at the oldest entry.
func (c *formCache) tick() {
	e := c.queue[c.head]
	c.queue[c.head] = formEntry{}
	c.head++
	if c.head > 1024 && c.head > len(c.queue)/2 {
		c.queue = append(c.queue[:0:0], c.queue[c.head:]...)
		c.head = 0
	}
	if o := e.object.Value(); o != nil {
		if have := o.forms[e.form].Load(); have != nil && have.used.Swap(false) {
			c.queue = append(c.queue, e)
			return
		}
		o.forms[e.form].Store(nil)
	}
	c.bytes -= int64(e.size)
}

func (c *formCache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
