package resource

import (
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The words that validation is written in. Each function returns what is wrong, in the order in which
// the API reports it: people read the first message, and scripts compare all of them.

// join puts findings one after the other.
func join(lists ...field.ErrorList) field.ErrorList {
	var all field.ErrorList
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// when is the finding e, if it is one.
func when(bad bool, e *field.Error) field.ErrorList {
	if bad {
		return field.ErrorList{e}
	}
	return nil
}

// given runs check on *p, if there is one.
func given[T any](p *T, path *place, check func(*T, *place) field.ErrorList) field.ErrorList {
	if p == nil {
		return nil
	}
	return check(p, path)
}

// each runs check on every item of a list.
func each[T any](items []T, path *place, check func(*T, *place) field.ErrorList) field.ErrorList {
	var all field.ErrorList
	for i := range items {
		all = append(all, check(&items[i], path.Index(i))...)
	}
	return all
}

// present wants any text at all.
func present(s string, path *place) field.ErrorList {
	return when(s == "", requiredAt(path, ""))
}

// oneOf wants one of the known values.
func oneOf[T ~string](v T, path *place, known ...T) field.ErrorList {
	for _, k := range known {
		if v == k {
			return nil
		}
	}
	return field.ErrorList{notSupportedAt(path, v, known)}
}

// presentOneOf wants one of the known values, and calls an empty one missing.
func presentOneOf[T ~string](v T, path *place, known ...T) field.ErrorList {
	if v == "" {
		return field.ErrorList{requiredAt(path, "")}
	}
	return oneOf(v, path, known...)
}

func strictIP(s string, path *place) field.ErrorList {
	return validation.IsValidIPForLegacyField(path.path(), s, true, nil)
}

// onlyFields refuses every field of a struct that is set and not among the allowed ones. Naming the allowed ones makes
// a field that a later version adds refused until somebody has thought about it.
func onlyFields(value any, detail string, path *place, allowed ...string) field.ErrorList {
	ok := map[string]bool{}
	for _, name := range allowed {
		ok[name] = true
	}
	var all field.ErrorList
	v := reflect.ValueOf(value)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if ok[name] || v.Field(i).IsZero() {
			continue
		}
		all = append(all, forbiddenAt(path.Child(lowerFirst(name)), detail))
	}
	return all
}

// lowerFirst is how messages write the name of such a field: fSGroup would be nobody's word for it.
func lowerFirst(name string) string {
	for _, word := range []string{"SELinux", "FSGroup"} {
		if rest, ok := strings.CutPrefix(name, word); ok {
			return map[string]string{"SELinux": "seLinux", "FSGroup": "fsGroup"}[word] + rest
		}
	}
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}

// taken remembers names, to find those that occur twice.
type taken map[string]bool

// claim is whether name was free until now.
func (t taken) claim(name string) bool {
	if t[name] {
		return false
	}
	t[name] = true
	return true
}

// choices are fields of the struct at path of which a client sets one, such as the sources of a volume. choose goes
// through them, counts those that are set, and checks them: all, or, if there is a refusal, the first, and refuses the others.
type choices struct {
	path    *place
	refusal string
	count   int
	errs    field.ErrorList
}

// choose is one of the choices, by the name that it has in their path.
func choose[T any](c *choices, p *T, name string, check func(*T, *place) field.ErrorList) {
	if p == nil {
		return
	}
	switch at := c.path.Child(name); {
	case c.count > 0 && c.refusal != "":
		c.errs = append(c.errs, forbiddenAt(at, c.refusal))
	default:
		c.errs = append(c.errs, check(p, at)...)
	}
	c.count++
}
