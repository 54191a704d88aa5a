package store

import "strings"

// snapshot is the whole state at one revision.
type snapshot struct {
	rev    int64
	byKey  *tree
	byTerm []index
}

// isDir reports whether prefix is a directory, and not one key.
func isDir(prefix string) bool { return strings.HasSuffix(prefix, "/") }

// covers reports whether key is the key prefix, or in the directory prefix.
func covers(prefix, key string) bool {
	return key == prefix || isDir(prefix) && strings.HasPrefix(key, prefix)
}

// span returns the range of keys [from, to) that prefix covers, after the key after.
func span(prefix, after string) (from, to string) {
	from, to = prefix, prefix+"\x00"
	if isDir(prefix) {
		to = prefix[:len(prefix)-1] + string(rune('/'+1))
	}
	if after >= from {
		from = after + "\x00"
	}
	return from, to
}

// walk calls yield for the objects below prefix, after the key after, that term admits, in key order.
func (s *snapshot) walk(prefix, after string, term *Term, yield func(*Object) bool) {
	from, to := span(prefix, after)
	if term == nil {
		s.byKey.AscendRange(&Object{Key: from}, &Object{Key: to}, yield)
		return
	}
	if x := s.index(term.Field); x != nil {
		at := Attrs{Fields: Set{{term.Field, term.Value}}}
		x.AscendRange(&Object{Key: from, Attrs: at}, &Object{Key: to, Attrs: at}, yield)
		return
	}
	s.byKey.AscendRange(&Object{Key: from}, &Object{Key: to}, func(o *Object) bool {
		return !term.admits(o) || yield(o)
	})
}

func (s *snapshot) index(field string) *tree {
	for _, x := range s.byTerm {
		if x.field == field {
			return x.tree
		}
	}
	return nil
}

func (t *Term) admits(o *Object) bool {
	if t == nil {
		return true
	}
	ok, v := has(o, t.Field)
	return ok && v == t.Value
}

// page takes one page from the snapshot.
func (s *snapshot) page(prefix string, o ListOptions) *Page {
	p := &Page{Rev: s.rev}
	filtered := o.Match != nil || o.Term != nil
	s.walk(prefix, o.After, o.Term, func(obj *Object) bool {
		p.Looked++
		if o.Match != nil && !o.Match(obj) {
			return true
		}
		if o.Limit == 0 || len(p.Objects) < o.Limit {
			p.Objects = append(p.Objects, obj)
			return true
		}
		p.More = true
		p.Remaining++
		return !filtered
	})
	if p.More && filtered {
		p.Remaining = -1
	}
	return p
}
