package store

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Commit implements API.
func (s *Store) Commit(ctx context.Context, t Txn) ([]*Object, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := s.until(ctx)
	defer cancel()

	stored, err := s.toStorage(ctx, t.Put)
	if err != nil {
		return nil, err
	}
	drafts := s.draft(t.Put)
	s.drafts.add(drafts, stored)
	t.Put = stored
	resp, err := s.send(ctx, t)
	if err != nil {
		s.drafts.drop(drafts)
		return nil, s.writeError(ctx, err)
	}
	if !resp.Succeeded {
		s.drafts.drop(drafts)
		return nil, conflict(t.If, resp.Responses)
	}
	rev := resp.Header.Revision
	for i, o := range drafts {
		drafts[i] = s.drafts.settle(o, rev, s.Revision)
	}
	return append(drafts, s.deleted(resp.Responses[len(t.Put):], rev)...), nil
}

func (s *Store) draft(puts []Put) []*Object {
	out := make([]*Object, len(puts))
	for i, p := range puts {
		out[i] = &Object{Key: p.Key, Value: clip(p.Value), Attrs: s.intern.attrs(p.Key, p.Attrs), cache: s.forms}
	}
	return out
}

// clip frees what an encoder's buffer has beyond its content, if that is much.
func clip(b []byte) []byte {
	if cap(b)-len(b) > len(b)/4 {
		return append(make([]byte, 0, len(b)), b...)
	}
	return b
}

// send makes the transaction. A shared lease may have expired a moment ago; then it is made with a new one.
//
// It speaks etcd's protocol itself: the client's way of putting a transaction together copies each value twice, which was a tenth of all
// memory that a create took.
func (s *Store) send(ctx context.Context, t Txn) (*pb.TxnResponse, error) {
	for try := 0; ; try++ {
		ops, leased, err := s.ops(ctx, t)
		if err != nil {
			return nil, err
		}
		if err := s.gate.enter(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnsent, err)
		}
		resp, err := s.kv.Txn(ctx, &pb.TxnRequest{Compare: compares(t.If), Success: ops, Failure: lookups(t.If)})
		s.gate.leave()
		if err = clientv3.ContextError(ctx, err); !errors.Is(err, rpctypes.ErrLeaseNotFound) || try == 2 {
			return resp, err
		}
		s.leases.forget(leased)
	}
}

func compares(conditions []Condition) []*pb.Compare {
	out := make([]*pb.Compare, len(conditions))
	for i, c := range conditions {
		out[i] = &pb.Compare{
			Result: pb.Compare_EQUAL, Target: pb.Compare_MOD, Key: []byte(c.Key), TargetUnion: &pb.Compare_ModRevision{ModRevision: c.Rev},
		}
	}
	return out
}

// lookups read, for the case that a condition does not hold, which one and why.
func lookups(conditions []Condition) []*pb.RequestOp {
	out := make([]*pb.RequestOp, len(conditions))
	for i, c := range conditions {
		out[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(c.Key), KeysOnly: true}}}
	}
	return out
}

func (s *Store) ops(ctx context.Context, t Txn) (ops []*pb.RequestOp, leased []clientv3.LeaseID, err error) {
	ops = make([]*pb.RequestOp, 0, len(t.Put)+len(t.Delete))
	for _, p := range t.Put {
		id := clientv3.NoLease
		if p.TTL > 0 {
			if id, err = s.lease(ctx, p.TTL); err != nil {
				return nil, nil, err
			}
			leased = append(leased, id)
		}
		put := &pb.PutRequest{Key: []byte(p.Key), Value: p.Value, Lease: int64(id)}
		ops = append(ops, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
	}
	for _, key := range t.Delete {
		remove := &pb.DeleteRangeRequest{Key: []byte(key), PrevKv: true}
		ops = append(ops, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: remove}})
	}
	return ops, leased, nil
}

func conflict(conditions []Condition, got []*pb.ResponseOp) error {
	for i, c := range conditions {
		var rev int64
		if kvs := got[i].GetResponseRange().Kvs; len(kvs) > 0 {
			rev = kvs[0].ModRevision
		}
		if rev != c.Rev {
			return &ConflictError{Key: c.Key, Rev: rev}
		}
	}
	return errors.New("store: etcd refused a transaction whose conditions all hold")
}

// deleted returns the last states of what a transaction deleted.
func (s *Store) deleted(got []*pb.ResponseOp, rev int64) []*Object {
	out := make([]*Object, len(got))
	for i, r := range got {
		if kvs := r.GetResponseDeleteRange().PrevKvs; len(kvs) > 0 {
			o := s.past(kvs[0])
			out[i] = &Object{Key: o.Key, Rev: rev, Value: o.Value, Attrs: o.Attrs, cache: s.forms}
		}
	}
	return out
}

// past returns an object of what etcd held once: that of the image, if that is the one.
func (s *Store) past(kv *mvccpb.KeyValue) *Object {
	s.mu.RLock()
	o := s.image.get(string(kv.Key))
	s.mu.RUnlock()
	if o != nil && o.Rev == kv.ModRevision {
		return o
	}
	return s.object(kv)
}

// errUnsent marks failures before the transaction was sent.
var errUnsent = errors.New("store: nothing was written")

// refused are etcd's answers that mean: nothing was written.
var refused = []error{
	rpctypes.ErrEmptyKey, rpctypes.ErrDuplicateKey, rpctypes.ErrLeaseNotFound, rpctypes.ErrTooManyRequests,
	rpctypes.ErrPermissionDenied, rpctypes.ErrNotCapable, rpctypes.ErrInvalidAuthToken, rpctypes.ErrUserEmpty,
}

// writeError tells an error that means "not written" from one that means "no answer".
func (s *Store) writeError(ctx context.Context, err error) error {
	for _, r := range refused {
		if errors.Is(err, r) {
			return fmt.Errorf("store: commit: %w", err)
		}
	}
	why := s.explain(ctx, err)
	if errors.Is(why, ErrNoSpace) || errors.Is(why, ErrRequestTooLarge) || errors.Is(err, errUnsent) {
		return why
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, why)
}
