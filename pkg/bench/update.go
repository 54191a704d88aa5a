package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// leaseText is the lease by which a kubelet says that its node lives.
const leaseText = `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"NAME","namespace":"bench","resourceVersion":"REVISION",
"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"NAME","uid":"5b2f6f0e-8f3a-4a55-9a53-0d7d3a3b8c11"}]},
"spec":{"holderIdentity":"NAME","leaseDurationSeconds":40,"renewTime":"TIME"}}`

// holder renews one lease. It knows the revision of what it wrote last, as every kubelet does.
type holder struct {
	name, revision string
}

// lease is what the holder writes next.
func (h *holder) lease(now time.Time) []byte {
	return []byte(strings.NewReplacer("NAME", h.name, "REVISION", h.revision, "TIME", now.UTC().Format("2006-01-02T15:04:05.000000Z")).Replace(leaseText))
}

// write sends the lease, and keeps the revision that the answer has.
func (h *holder) write(ctx context.Context, api *server, method, path string) (int64, error) {
	answer, err := api.ask(ctx, method, path, jsonType, h.lease(time.Now()))
	if err != nil {
		return 0, err
	}
	h.revision, err = objectRevision(answer)
	return int64(len(answer)), err
}

// objectRevision is the resourceVersion of an object in JSON, looked for without reading the rest.
func objectRevision(b []byte) (string, error) {
	_, rest, _ := bytes.Cut(b, []byte(`"resourceVersion":"`))
	rev, _, found := bytes.Cut(rest, []byte(`"`))
	if !found {
		return "", errors.New("an object has no resourceVersion")
	}
	return string(rev), nil
}

// updates measures updates that say what they replace: as many holders renew their leases as there are callers.
func updates(ctx context.Context, b *bench) ([]Result, error) {
	return b.besideLimit(ctx, "update", func(api, limit *server) ([]Result, error) {
		idle := make(chan *holder, callers)
		for i := range callers {
			h := &holder{name: fmt.Sprintf("node-%02d", i)}
			if _, err := h.write(ctx, api, http.MethodPost, leasesPath); err != nil {
				return nil, err
			}
			idle <- h
		}
		sent := len((&holder{name: "node-00", revision: "1000"}).lease(time.Now()))
		return b.verb(ctx, verb{name: "lease update", api: api, limit: limit, sent: sent, aim: &Aim{AtLeast: 0.5}, durable: true,
			do: func(ctx context.Context, _ int) (int64, error) {
				h := <-idle
				defer func() { idle <- h }()
				return h.write(ctx, api, http.MethodPut, leasesPath+"/"+h.name)
			}})
	})
}
