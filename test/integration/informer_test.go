package integration

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// A controller of custom resources follows them as it does anywhere.
func TestDynamicInformer(t *testing.T) {
	s := startServer(t)
	s.define(definition(t, "crontab"))
	ctx, c := t.Context(), s.crontabs()
	_, err := c.Create(ctx, crontab(t, "a", `{"cronSpec":"*"}`), metav1.CreateOptions{})
	require.NoError(t, err)
	events := make(chan string, 10)
	tell := func(what string) func(any) {
		return func(obj any) {
			u := obj.(*unstructured.Unstructured)
			replicas, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
			events <- fmt.Sprintf("%s %s %d", what, u.GetName(), replicas)
		}
	}
	informers := dynamicinformer.NewDynamicSharedInformerFactory(s.dynamic, 0)
	_, err = informers.ForResource(crontabs).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: tell("add"), DeleteFunc: tell("delete"), UpdateFunc: func(_, next any) { tell("update")(next) },
	})
	require.NoError(t, err)
	informers.Start(ctx.Done())
	for _, synced := range informers.WaitForCacheSync(ctx.Done()) {
		require.True(t, synced)
	}
	require.Equal(t, "add a 1", <-events)
	_, err = c.Patch(ctx, "a", types.MergePatchType, []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, "update a 2", <-events)
	require.NoError(t, c.Delete(ctx, "a", metav1.DeleteOptions{}))
	require.Equal(t, "delete a 2", <-events)
}

// Many kinds are defined at once, as an operator's chart does, and each can be used as soon as it is established.
func TestManyDefinitionsAtOnce(t *testing.T) {
	s := startServer(t)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			crd := definition(t, "crontab")
			plural, kind := fmt.Sprintf("k%ds", i), fmt.Sprintf("K%d", i)
			crd.SetName(plural + ".stable.example.com")
			crd.Object["spec"].(map[string]any)["names"] = map[string]any{"plural": plural, "kind": kind}
			s.define(crd)
			u := crontab(t, "a", `{"cronSpec":"*"}`)
			u.SetKind(kind)
			_, err := s.dynamic.Resource(crontabs.GroupVersion().WithResource(plural)).Namespace("default").Create(t.Context(), u, metav1.CreateOptions{})
			if err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		})
	}
	all.Wait()
	list, err := s.client.Discovery().ServerResourcesForGroupVersion("stable.example.com/v1")
	require.NoError(t, err)
	require.Len(t, list.APIResources, 40*3)
}
