package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever a crash leaves of the file (any prefix of it, or a prefix and then garbage), the ledger holds the first
// entries, none of them changed, and goes on from there.
func TestLedgerSurvivesAnyCut(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		entries := rapid.SliceOfNDistinct(entry(), 1, 8, func(e Entry) string { return string(e.Kind) + "\x00" + e.Name }).Draw(t, "entries")
		write(t, path, entries)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		cut := rapid.IntRange(0, len(data)).Draw(t, "cut")
		rest := rapid.SampledFrom([]string{"", "\x00\x00\x00\x00", "{\"kind\":"}).Draw(t, "garbage")
		require.NoError(t, os.WriteFile(path, append(data[:cut:cut], rest...), 0o600))

		more := Entry{Kind: KindPath, Name: "/after the crash"}
		got := write(t, path, []Entry{more})
		require.Equal(t, more, got[len(got)-1])
		require.LessOrEqual(t, len(got)-1, len(entries))
		require.Equal(t, entries[:len(got)-1], got[:len(got)-1])
		require.Equal(t, got, write(t, path, nil), "what was recorded is read again")
	})
}

// The first value of a setting is the one to restore, however often it is set.
func TestLedgerKeepsTheFirstValue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	first := Entry{Kind: KindSysctl, Name: "net/ipv4/ip_forward", Old: "0", New: "1"}
	got := write(t, path, []Entry{first, {Kind: KindSysctl, Name: "net/ipv4/ip_forward", Old: "1", New: "1"}})
	require.Equal(t, []Entry{first}, got)
}

func write(t require.TestingT, path string, entries []Entry) []Entry {
	l, err := openLedger(path)
	require.NoError(t, err)
	defer l.close()
	for _, e := range entries {
		require.NoError(t, l.Record(e))
	}
	return l.entries
}

func entry() *rapid.Generator[Entry] {
	return rapid.Custom(func(t *rapid.T) Entry {
		return Entry{
			Kind:   rapid.SampledFrom([]Kind{KindPath, KindLink, KindSysctl}).Draw(t, "kind"),
			Name:   rapid.String().Draw(t, "name"),
			Old:    rapid.SampledFrom([]string{"", "0", "a\nb"}).Draw(t, "old"),
			Reason: rapid.SampledFrom([]string{"", "why"}).Draw(t, "reason"),
		}
	})
}
