package apiserver

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A policy that is named has to be one, wherever what it lets through would go.
func TestAuditPolicyIsRead(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "policy.yaml")
	o := &Options{Settings: Settings{AuditPolicy: missing}, Logger: slog.New(slog.DiscardHandler)}
	_, _, err := o.audit(t.Context())
	require.ErrorContains(t, err, missing)
}
