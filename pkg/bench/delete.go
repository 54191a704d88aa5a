package bench

import (
	"context"
	"net/http"
	"sync/atomic"
)

// deleteText is how a kubelet removes a pod that has ended: at once.
const deleteText = `{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0}`

// deletes measures deletes of pods. Each needs a pod, which is made before and does not count.
func deletes(ctx context.Context, b *bench) ([]Result, error) {
	return b.besideLimit(ctx, "delete", func(api, limit *server) ([]Result, error) {
		s := &stock{bench: b, api: api}
		if _, err := s.add(ctx, 1); err != nil {
			return nil, err
		}
		return b.verb(ctx, verb{name: "delete", api: api, limit: limit, sent: len(deleteText), do: s.delete,
			stock: func(ctx context.Context) (int, error) { return s.add(ctx, b.scaled(2000, 500)) }})
	})
}

// stock are pods that are there to be deleted, oldest first.
type stock struct {
	*bench
	api  *server
	made int
	gone atomic.Int64
}

// add makes n more pods.
func (s *stock) add(ctx context.Context, n int) (int, error) {
	_, err := drive(ctx, fillers, pieces(n), func(ctx context.Context, i int) error {
		_, err := s.api.createPod(ctx, "d", s.made+i)
		return err
	})
	s.made += n
	return n, err
}

func (s *stock) delete(ctx context.Context, _ int) (int64, error) {
	i := int(s.gone.Add(1) - 1)
	return s.api.size(ctx, http.MethodDelete, podsPath+"/"+podName("d", i), jsonType, []byte(deleteText))
}
