package apiserver

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Cause travels: a client that acts because of an object sends, as a W3C traceparent header, what caused its action. The
// server notes it with the revision of what it wrote, in memory and for a while only, so that whoever sees that revision next can
// learn what brought it about, and nothing has to be added to the objects.

// Cause is why an object came to be as it is.
type Cause struct {
	Revision    int64  `json:"revision"`
	Traceparent string `json:"traceparent,omitempty"`
	AuditID     string `json:"auditID"`
	User        string `json:"user"`
	Verb        string `json:"verb"`
	Path        string `json:"path"`
}

// causesKept is how many writes back causes are known.
const causesKept = 8192

// causes is a ring of the last ones.
type causes struct {
	mu   sync.Mutex
	ring []Cause
	next int
}

func newCauses() *causes { return &causes{ring: make([]Cause, 0, causesKept)} }

// note records that c made revision rev. Its strings may be pieces of a large request, which must not be kept with them.
func (k *causes) note(rev int64, c *call) {
	cause := Cause{rev, strings.Clone(c.traceparent), strings.Clone(c.auditID), c.user.Name, c.t.verb, strings.Clone(c.t.path)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.ring) < causesKept {
		k.ring = append(k.ring, cause)
		return
	}
	k.ring[k.next] = cause
	k.next = (k.next + 1) % causesKept
}

// find returns what made revision rev.
func (k *causes) find(rev int64) (Cause, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(k.ring) - 1; i >= 0; i-- {
		if c := k.ring[(k.next+i)%len(k.ring)]; c.Revision == rev {
			return c, true
		}
	}
	return Cause{}, false
}

// all returns the known causes, oldest first.
func (k *causes) all() []Cause {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append(append([]Cause{}, k.ring[k.next:]...), k.ring[:k.next]...)
}

// serve answers with the cause of ?revision=, or with all.
func (k *causes) serve(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("revision")
	if text == "" {
		writeJSON(w, k.all())
		return
	}
	rev, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		http.Error(w, "revision: "+err.Error(), http.StatusBadRequest)
		return
	}
	c, ok := k.find(rev)
	if !ok {
		http.Error(w, "nothing is known of what made revision "+text, http.StatusNotFound)
		return
	}
	writeJSON(w, c)
}
