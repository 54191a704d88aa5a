package apiserver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckAliases(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"no aliases", "a: [1, 2]", nil},
		{"shared", "a: &x {b: c}\nd: *x", nil},
		{"long and often", "a: &x " + strings.Repeat("y", 1<<20) + "\nz: [" + strings.Repeat("*x,", 1000) + "]\n", errAliasing},
		{"in itself", "a: &x [*x, *x]", errAliasing},
		{"no YAML", "a: &x [*x", nil},
	} {
		require.Equal(t, c.want, checkAliases([]byte(c.body)), c.name)
	}
}
