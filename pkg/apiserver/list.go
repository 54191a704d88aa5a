package apiserver

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"bonsai/pkg/store"

	"google.golang.org/protobuf/encoding/protowire"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// list answers with a page of objects: their kept bytes behind one another, between a head and a tail. Nothing is
// decoded, unless the client wants another shape or version.
func (s *Server) list(c *call) error {
	l, err := listOptions(c)
	if err != nil {
		return err
	}
	page, meta, err := s.page(c, l)
	if err != nil {
		return err
	}
	return s.answerList(c, page, meta)
}

// answerList sends a page in the form that the client asks for.
func (s *Server) answerList(c *call, page *store.Page, meta metav1.ListMeta) error {
	if c.f.shape == whole {
		c.recordResponse(func() ([]byte, error) {
			pieces, err := listPieces(c.t, format{media: mediaJSON}, page, meta)
			return bytes.Join(pieces, nil), err
		})
	}
	if !c.f.plain() {
		return s.answerShaped(c, page, meta)
	}
	defer s.track(c, &c.took.serialize)()
	pieces, err := listPieces(c.t, c.f, page, meta)
	if err != nil {
		return err
	}
	s.sendPieces(c, http.StatusOK, c.f.contentType(), pieces)
	return nil
}

// page reads what l asks for, and the metadata of that list.
func (s *Server) page(c *call, l *listing) (*store.Page, metav1.ListMeta, error) {
	var meta metav1.ListMeta
	at, after, err := l.position()
	if err != nil {
		return nil, meta, err
	}
	limit := int(l.Limit)
	if at.Kind == store.Any {
		limit = 0 // upstream's cache, which such a list is from, has no pages
	}
	page, err := s.store.List(c.ctx(), l.prefix, at, store.ListOptions{Term: l.term, Match: l.match, Limit: limit, After: after})
	if errors.Is(err, store.ErrTooOld) && l.Continue != "" {
		return nil, meta, expiredPage(l.prefix, after)
	}
	if err != nil {
		return nil, meta, apiError(err, c.t, "")
	}
	c.took.storage += page.Waited
	s.metrics.storage.listed(c.t.row, l, at, page)
	meta.ResourceVersion = strconv.FormatInt(page.Rev, 10)
	if page.More && len(page.Objects) > 0 {
		meta.Continue = encodeContinue(page.Rev, l.prefix, page.Objects[len(page.Objects)-1].Key)
		if page.Remaining >= 0 && l.match == nil {
			meta.RemainingItemCount = &page.Remaining
		}
	}
	return page, meta, nil
}

// position says which state the list is of and after which key it begins.
func (l *listing) position() (at store.ReadAt, after string, err error) {
	if l.Continue != "" {
		rev, after, err := decodeContinue(l.Continue, l.prefix)
		switch {
		case err != nil:
			return at, "", err
		case l.ResourceVersion != "" && l.ResourceVersion != "0":
			return at, "", badVersionWithContinue()
		case rev < 0:
			return store.ReadAt{Kind: store.Newest}, after, nil
		}
		return store.ReadAt{Kind: store.Exact, Rev: rev}, after, nil
	}
	at, err = readAt(l.ResourceVersion)
	if bad := (*badVersion)(nil); errors.As(err, &bad) {
		err = apierrors.NewBadRequest("invalid resource version: " + bad.Error())
	}
	if err != nil || at.Kind != store.NotOlderThan {
		return at, "", err
	}
	// A limit without a match has always meant the exact state, from before there was a match to say it with.
	if l.ResourceVersionMatch == metav1.ResourceVersionMatchExact || (l.ResourceVersionMatch == "" && l.Limit > 0) {
		at.Kind = store.Exact
	}
	return at, "", nil
}

// listPieces are the bytes of a whole list, in order.
func listPieces(t *target, f format, page *store.Page, meta metav1.ListMeta) ([][]byte, error) {
	if f.media == mediaProtobuf {
		return protobufList(t, f, page, meta)
	}
	typ := t.typeMeta()
	pieces := make([][]byte, 0, 2*len(page.Objects)+2)
	head := append([]byte(`{"kind":"`+t.row.ListKind()+`","apiVersion":"`+typ.APIVersion+`","metadata":`), listMeta(t, meta)...)
	pieces = append(pieces, append(head, `,"items":[`...))
	// Items of a list do not repeat their type; in the kept bytes it is always the first thing.
	own := []byte(`{"kind":"` + typ.Kind + `","apiVersion":"` + typ.APIVersion + `",`)
	first, later := []byte(`{`), []byte(`,{`)
	between := first
	read := reader(t, f)
	for _, o := range page.Objects {
		b, err := read(o)
		if err != nil {
			return nil, err
		}
		if rest, ok := bytes.CutPrefix(b, own); ok {
			pieces = append(pieces, between, rest)
		} else {
			pieces = append(pieces, between[:len(between)-1], b)
		}
		between = later
	}
	return append(pieces, []byte("]}\n")), nil
}

// listMeta are the metadata of a list. The lists of custom kinds have always said that nothing follows, too.
func listMeta(t *target, meta metav1.ListMeta) []byte {
	b := compactJSON(meta)
	if t.row.Custom == nil || meta.Continue != "" {
		return b
	}
	return append([]byte(`{"continue":"",`), b[1:]...)
}

// protobufList is an envelope around a list message: metadata is field 1, each item field 2. The lengths of both have to
// be known before the first item, so the items are collected first.
func protobufList(t *target, f format, page *store.Page, meta metav1.ListMeta) ([][]byte, error) {
	metaBytes, err := meta.Marshal()
	if err != nil {
		return nil, err
	}
	head := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), metaBytes)
	size := len(head)
	pieces := make([][]byte, 2, 2*len(page.Objects)+3)
	heads := make([]byte, 0, 6*len(page.Objects))
	read := reader(t, f)
	for _, o := range page.Objects {
		b, err := read(o)
		if err != nil {
			return nil, err
		}
		raw, err := rawOf(b)
		if err != nil {
			return nil, err
		}
		from := len(heads)
		heads = protowire.AppendVarint(protowire.AppendTag(heads, 2, protowire.BytesType), uint64(len(raw)))
		pieces = append(pieces, heads[from:len(heads):len(heads)], raw)
		size += len(heads) - from + len(raw)
	}
	pieces[0], pieces[1] = envelopeHead(t, size), head
	return append(pieces, envelopeTail), nil
}

// envelopeHead opens the envelope that every protobuf body has: magic, type, and the length of what it holds.
func envelopeHead(t *target, size int) []byte {
	typ := t.typeMeta()
	types, err := (&runtime.TypeMeta{APIVersion: typ.APIVersion, Kind: typ.Kind + "List"}).Marshal()
	if err != nil {
		panic(err) // two strings
	}
	b := append([]byte("k8s\x00"), protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), types)...)
	return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.BytesType), uint64(size))
}

// envelopeTail are the two empty strings that end an envelope.
var envelopeTail = []byte{3<<3 | byte(protowire.BytesType), 0, 4<<3 | byte(protowire.BytesType), 0}

var errEnvelope = errors.New("kept protobuf has no envelope")

// rawOf returns the object's own bytes from inside its envelope.
func rawOf(b []byte) ([]byte, error) {
	b, ok := bytes.CutPrefix(b, []byte("k8s\x00"))
	for ok && len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || kind != protowire.BytesType {
			break
		}
		content, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			break
		}
		if number == 2 {
			return content, nil
		}
		b = b[n+m:]
	}
	return nil, errEnvelope
}

// answerShaped sends a page in another shape, or for people.
func (s *Server) answerShaped(c *call, page *store.Page, meta metav1.ListMeta) error {
	if c.f.shape == whole {
		defer s.track(c, &c.took.serialize)()
		pieces, err := listPieces(c.t, format{media: mediaJSON}, page, meta)
		if err != nil {
			return err
		}
		b, err := dress(c.f, bytes.Join(pieces, nil))
		if err != nil {
			return err
		}
		s.sendPieces(c, http.StatusOK, c.f.contentType(), [][]byte{b})
		return nil
	}
	transformed := s.track(c, &c.took.transform)
	shaped, gvk, err := s.shapedList(c, page, meta)
	if err != nil {
		return err
	}
	transformed()
	defer s.track(c, &c.took.serialize)()
	b, err := encodeAs(c.f, gvk, shaped)
	if err != nil {
		return err
	}
	c.recordObject(gvk, shaped)
	s.send(c, http.StatusOK, c.f, b)
	return nil
}
