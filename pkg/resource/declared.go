package resource

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/api/validate"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Some rules of v1.37 are declared beside the fields of the API's types. Clients see that in two ways: what is wrong by these
// rules comes after all else that is wrong, and an update is not measured by them where it changes nothing.

// declared marks findings as those of declared rules.
func declared(errs field.ErrorList) field.ErrorList {
	for _, e := range errs {
		if e != somewhere {
			field.ErrorList{e}.MarkBeta()
		}
	}
	return errs
}

// declaredLast is errs in the order in which the API reports them.
func declaredLast(errs field.ErrorList) field.ErrorList {
	slices.SortStableFunc(errs, func(a, b *field.Error) int {
		switch {
		case a.IsBeta() == b.IsBeta():
			return 0
		case a.IsBeta():
			return 1
		}
		return -1
	})
	return errs
}

// onlyDeclared is what errs has from declared rules.
func onlyDeclared(errs field.ErrorList) field.ErrorList {
	return slices.DeleteFunc(errs, func(e *field.Error) bool { return !e.IsBeta() })
}

// undeclared is errs where a declared rule is not asked because another one has been broken, and the older rule that it repeats is.
func undeclared(errs field.ErrorList) field.ErrorList {
	for i, e := range errs {
		errs[i] = &field.Error{Type: e.Type, Field: e.Field, BadValue: e.BadValue, Detail: e.Detail}
	}
	return errs
}

// declaredChange refuses that a value changes, and shows no value.
func declaredChange[T any](next, old *T, path *place) field.ErrorList {
	return declared(declaredImmutable(next, old, path))
}

// declaredFormat is s in one of the API's formats.
func declaredFormat[T ~string](
	s T, path *place, format func(context.Context, operation.Operation, *field.Path, *T, *T) field.ErrorList,
) field.ErrorList {
	return declared(format(context.Background(), operation.Operation{}, path.path(), &s, nil))
}

// declaredPresent wants any text, and then the format.
func declaredPresent[T ~string](
	s T, path *place, format func(context.Context, operation.Operation, *field.Path, *T, *T) field.ErrorList,
) field.ErrorList {
	if s == "" {
		return declared(field.ErrorList{requiredAt(path, "")})
	}
	return declaredFormat(s, path, format)
}

// declaredOneOf wants one of the known values, which are sorted.
func declaredOneOf[T ~string](v T, path *place, known ...T) field.ErrorList {
	return declared(oneOf(v, path, known...))
}

// declaredDriver is the name of a driver where the declared rules check it.
func declaredDriver(name string, path *place) field.ErrorList {
	if len(name) > 63 {
		return declared(field.ErrorList{field.TooLongCharacters(path.path(), name, 63)})
	}
	return declaredPresent(name, path, validate.LongNameCaseless)
}

// declaredList wants at most so many items, no two of which have the same key, and checks each. Without key they may repeat.
func declaredList[T any, K comparable](
	items []T, most int, path *place, key func(*T) K, check func(*T, *place) field.ErrorList,
) field.ErrorList {
	if most > 0 && len(items) > most {
		return declared(field.ErrorList{tooManyAt(path, len(items), most)})
	}
	var errs field.ErrorList
	if key != nil {
		errs = declared(repeated(items, path, key))
	}
	return append(errs, each(items, path, check)...)
}

// repeated are the items whose key an earlier one has.
func repeated[T any, K comparable](items []T, path *place, key func(*T) K) field.ErrorList {
	var errs field.ErrorList
	seen := map[K]bool{}
	for i := range items {
		k := key(&items[i])
		errs = append(errs, when(seen[k], duplicateAt(path.Index(i), items[i]))...)
		seen[k] = true
	}
	return errs
}

// boundedList is a list of at most so many items, that may repeat.
func boundedList[T any](items []T, most int, path *place, check func(*T, *place) field.ErrorList) field.ErrorList {
	return declaredList[T, int](items, most, path, nil, check)
}

func itself(s *string) string { return *s }
