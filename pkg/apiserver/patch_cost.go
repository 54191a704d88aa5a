package apiserver

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// A strategic merge looks for each element of a list in the patch among all others of the patch and of the object, one by one. A megabyte
// of short elements would keep a processor busy for minutes, and nothing stops a merge that has begun: so its work is estimated first.
const (
	// fewElements is how many elements in all lists of a patch need no look at the object: the largest object does not make that much work.
	fewElements = 100
	// maxPairs is how many pairs of elements may have to be compared: some seconds, and more than lists of thousands come to.
	maxPairs = 30_000_000
)

// affordable refuses a patch that is too much work to merge into an object.
func affordable(patch, object map[string]any) error {
	if elements(patch) <= fewElements {
		return nil
	}
	if n := pairs(patch, elements(object)); n > maxPairs {
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum of comparisons of list elements in a strategic merge patch is %d, got %d", maxPairs, n))
	}
	return nil
}

// elements is how many there are in all lists of v.
func elements(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, each := range v {
			n += elements(each)
		}
	case []any:
		n = len(v)
		for _, each := range v {
			n += elements(each)
		}
	}
	return n
}

// pairs is how many may have to be compared to merge v into an object with so many elements: none of its lists has more.
func pairs(v any, there int) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, each := range v {
			n += pairs(each, there)
		}
	case []any:
		n = len(v) * (len(v) + there)
		for _, each := range v {
			n += pairs(each, there)
		}
	}
	return n
}
