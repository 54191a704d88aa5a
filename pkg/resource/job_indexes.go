package resource

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Indexes of pods are written as numbers and intervals in rising order: 0,3-5,7.

// indexes is one interval; first and last belong to it.
type indexes struct{ first, last int32 }

// countIndexes is how many indexes a text lists. All are below completions.
func countIndexes(text string, completions int32) (int32, error) {
	if text == "" {
		return 0, nil
	}
	var total int32
	previous := int32(-1)
	for part := range strings.SplitSeq(text, ",") {
		i, err := parseIndexes(part, completions)
		if err != nil {
			return 0, err
		}
		if previous >= i.first {
			return 0, notRising(previous, i.first)
		}
		total += i.last - i.first + 1
		previous = i.last
	}
	return total, nil
}

func parseIndexes(text string, completions int32) (indexes, error) {
	ends := strings.Split(text, "-")
	if len(ends) > 2 {
		return indexes{}, fmt.Errorf("the fragment %q violates the requirement that an index interval can have at most two parts separated by '-'", text)
	}
	first, err := parseIndex(ends[0], completions)
	if err != nil || len(ends) == 1 {
		return indexes{first, first}, err
	}
	last, err := parseIndex(ends[1], completions)
	if err == nil && first >= last {
		err = notRising(first, last)
	}
	return indexes{first, last}, err
}

func parseIndex(text string, completions int32) (int32, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	case n >= int(completions):
		return 0, fmt.Errorf("too large index: %q", text)
	}
	return int32(n), nil
}

func notRising(previous, current int32) error {
	return fmt.Errorf("non-increasing order, previous: %d, current: %d", previous, current)
}

// overlap tells which index is in both lists. Intervals that make no sense are left out; who reads the lists says so.
func overlap(completed, failed string, completions int32) error {
	a, b := readable(completed, completions), readable(failed, completions)
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].first <= b[0].last && b[0].first <= a[0].last:
			return errors.New("failedIndexes and completedIndexes overlap at index: " + strconv.Itoa(int(max(a[0].first, b[0].first))))
		case a[0].first <= b[0].first:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return nil
}

func readable(text string, completions int32) []indexes {
	if text == "" {
		return nil
	}
	var list []indexes
	for part := range strings.SplitSeq(text, ",") {
		if i, err := parseIndexes(part, completions); err == nil {
			list = append(list, i)
		}
	}
	return list
}
