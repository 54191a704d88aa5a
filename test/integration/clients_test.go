package integration

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
)

// Generic clients know no kinds: they ask for discovery, map what a user names to it, and work on any object. That has to
// go on while kinds come.
func TestGenericClients(t *testing.T) {
	s := startServer(t)
	cached := memory.NewMemCacheClient(discovery.NewDiscoveryClientForConfigOrDie(s.config))
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	pods, err := mapper.ResourceFor(schema.GroupVersionResource{Resource: "po"})
	require.NoError(t, err)
	require.Equal(t, schema.GroupVersionResource{Version: "v1", Resource: "pods"}, pods)

	s.define(definition(t, "crontab"))
	meta.MaybeResetRESTMapper(mapper) // it has looked before
	mapping, err := mapper.RESTMapping(schema.GroupKind{Group: crontabs.Group, Kind: "CronTab"})
	require.NoError(t, err)
	require.Equal(t, crontabs, mapping.Resource)
	require.Equal(t, "namespace", string(mapping.Scope.Name()))

	ctx := t.Context()
	seen := dynamicinformer.NewFilteredDynamicSharedInformerFactory(s.dynamic, 0, "default", nil)
	whole := seen.ForResource(mapping.Resource).Informer()
	known := metadata.NewForConfigOrDie(s.config)
	heads := metadatainformer.NewSharedInformerFactory(known, 0).ForResource(mapping.Resource).Informer()
	go whole.RunWithContext(ctx)
	go heads.RunWithContext(ctx)
	require.True(t, cache.WaitForCacheSync(ctx.Done(), whole.HasSynced, heads.HasSynced))

	_, err = s.crontabs().Create(ctx, crontab(t, "a", `{"cronSpec":"* *"}`), metav1.CreateOptions{})
	require.NoError(t, err)
	s.until("both informers have the object", func() bool {
		_, one, _ := whole.GetStore().GetByKey("default/a")
		_, other, _ := heads.GetStore().GetByKey("default/a")
		return one && other
	})
	stored, _, err := whole.GetStore().GetByKey("default/a")
	require.NoError(t, err)
	spec, _, err := unstructured.NestedString(stored.(*unstructured.Unstructured).Object, "spec", "cronSpec")
	require.NoError(t, err)
	require.Equal(t, "* *", spec)

	// Metadata alone can be changed and selected by, and the object deleted, without knowing what is in it.
	of := known.Resource(mapping.Resource).Namespace("default")
	head, err := of.Patch(ctx, "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"x":"y"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"x": "y"}, head.Labels)
	list, err := of.List(ctx, metav1.ListOptions{LabelSelector: "x=y"})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.NoError(t, of.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "x=y"}))
	s.until("both informers have let it go", func() bool { return len(whole.GetStore().List())+len(heads.GetStore().List()) == 0 })
}
