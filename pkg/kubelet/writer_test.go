package kubelet

import (
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// TestWriter: statuses that follow each other while a write is under way are one write, of the newest; the same
// status again is none; a failed write is repeated.
func TestWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default", UID: "u"}}
		client := fake.NewClientset(pod)
		var patches []string
		fail := false
		client.PrependReactor("patch", "pods", func(a k8stesting.Action) (bool, runtime.Object, error) {
			time.Sleep(time.Second)
			if fail {
				fail = false
				return true, nil, errRefused
			}
			var got struct {
				Metadata metav1.ObjectMeta
				Status   corev1.PodStatus
			}
			require.NoError(t, json.Unmarshal(a.(k8stesting.PatchAction).GetPatch(), &got))
			require.EqualValues(t, "u", got.Metadata.UID)
			patches = append(patches, string(got.Status.Reason))
			return true, pod, nil
		})
		w := newWriter(client, slog.New(slog.DiscardHandler))
		for _, reason := range []string{"one", "two", "three"} {
			w.set(t.Context(), pod, corev1.PodStatus{Reason: reason})
			synctest.Wait()
		}
		require.Equal(t, "three", w.latest("u").Reason)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"one", "three"}, patches)
		w.set(t.Context(), pod, corev1.PodStatus{Reason: "three"})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Len(t, patches, 2)
		fail = true
		w.set(t.Context(), pod, corev1.PodStatus{Reason: "four"})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"one", "three", "four"}, patches)
		require.NoError(t, w.flush(t.Context(), pod, corev1.PodStatus{Reason: "five"}))
		require.Equal(t, "five", w.latest("u").Reason)
	})
}
