package owners

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the library has dated by its clock, which is ahead of ours here, is dated and put in order by ours; what was dated so before stays.
func TestRedate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	entry := func(manager string, ahead time.Duration) metav1.ManagedFieldsEntry {
		at := metav1.NewTime(now.Truncate(time.Second).Add(ahead))
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &at}
	}
	before := []metav1.ManagedFieldsEntry{entry("maker", 0), entry("skewed", 2*time.Second)}
	after := []metav1.ManagedFieldsEntry{entry("maker", 0), entry("changer", time.Second), entry("skewed", 2*time.Second)}
	Redate(after, before, now)
	require.Equal(t, []metav1.ManagedFieldsEntry{entry("changer", 0), entry("maker", 0), entry("skewed", 2*time.Second)}, after)
}
