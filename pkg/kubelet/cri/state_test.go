package cri

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The clock was set back an hour between two runs. The later run is the present one all the same.
func TestTheNewestRunIsTheOneOfTheHighestCount(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	p := &Pod{
		Sandboxes:  []*Sandbox{{ID: "old", CreatedAt: at}, {ID: "new", Attempt: 1, CreatedAt: at.Add(-time.Hour), Ready: true}},
		Containers: []*Container{{ID: "0", Name: "c", State: Exited, CreatedAt: at}, {ID: "1", Name: "c", State: Running, RestartCount: 1, CreatedAt: at.Add(-time.Hour)}},
	}
	p.sort()
	require.Equal(t, "1", p.Current("c").ID)
	require.Equal(t, "new", p.Sandboxes[0].ID)
}
