// Orders a notebook, changes it and starts a server: first_steps <team>
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/oapi-codegen/nullable"
	"github.com/oapi-codegen/runtime/types"

	"example.com/notebooks/knada"
)

func main() {
	ctx := context.Background()
	authorize := knada.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
		return nil
	})
	client, err := knada.NewClientWithResponses(os.Getenv("API"), authorize)
	check(err)
	slug := os.Args[1]

	team, err := client.CreateTeamWithResponse(ctx, nil, knada.TeamOrder{Slug: slug})
	check(err)
	expect(team.StatusCode(), http.StatusCreated, team.Body)
	ordered, err := client.PutNotebookWithResponse(ctx, slug, nil, knada.NotebookOrder{})
	check(err)
	expect(ordered.StatusCode(), http.StatusCreated, ordered.Body)
	read, err := client.GetNotebookWithResponse(ctx, slug, nil)
	check(err)
	for read.JSON200 == nil || read.JSON200.Status.Phase != "Ready" {
		expect(read.StatusCode(), http.StatusOK, read.Body)
		time.Sleep(time.Second)
		read, err = client.GetNotebookWithResponse(ctx, slug, nil)
		check(err)
	}
	fmt.Println("notebook", read.JSON200.Status.Phase)

	etag := read.HTTPResponse.Header.Get("ETag")
	twoHours := knada.NotebookPatch{Culling: nullable.NewNullableWithValue(knada.CullingPatch{
		TimeoutSeconds: nullable.NewNullableWithValue[int64](7200),
	})}
	ifUnchanged := &knada.PatchNotebookParams{IfMatch: &etag}
	patched, err := client.PatchNotebookWithResponse(ctx, slug, ifUnchanged, twoHours)
	check(err)
	expect(patched.StatusCode(), http.StatusOK, patched.Body)
	fmt.Println("cull timeout", patched.JSON200.Spec.Culling.TimeoutSeconds)
	patched, err = client.PatchNotebookWithResponse(ctx, slug, ifUnchanged, twoHours)
	check(err)
	expect(patched.StatusCode(), http.StatusPreconditionFailed, patched.Body)
	conflict := patched.ApplicationproblemJSON412
	fmt.Println("conflict", conflict.Status, conflict.Code)

	role := knada.MemberSettingsRoleMember
	colleague := types.Email("ola.nordmann@nav.no")
	member, err := client.AddMemberWithResponse(ctx, slug, colleague, nil, knada.MemberSettings{Role: &role})
	check(err)
	expect(member.StatusCode(), http.StatusOK, member.Body)
	fmt.Println("member", member.JSON200.Email)
	opened, err := client.AddAllowlistHostWithResponse(ctx, slug, "pypi.org")
	check(err)
	expect(opened.StatusCode(), http.StatusOK, opened.Body)
	fmt.Println("allowlist", strings.Join(opened.JSON200.Spec.Allowlist.Hosts, " "))

	started, err := client.StartServerWithResponse(ctx, slug, team.JSON201.Members[0].Username, knada.StartOrder{})
	check(err)
	expect(started.StatusCode(), http.StatusAccepted, started.Body)
	operation := started.JSON202
	for !operation.Done {
		time.Sleep(time.Second)
		followed, err := client.GetOperationWithResponse(ctx, slug, operation.Id)
		check(err)
		expect(followed.StatusCode(), http.StatusOK, followed.Body)
		operation = followed.JSON200
	}
	if operation.Error != nil {
		log.Fatalf("%s: %s", operation.Error.Code, operation.Error.Detail)
	}
	fmt.Println("server", operation.Progress, *operation.Result.Url)

	byDefault := knada.NotebookPatch{Culling: nullable.NewNullableWithValue(knada.CullingPatch{
		TimeoutSeconds: nullable.NewNullNullable[int64](),
	})}
	patched, err = client.PatchNotebookWithResponse(ctx, slug, nil, byDefault)
	check(err)
	expect(patched.StatusCode(), http.StatusOK, patched.Body)
	fmt.Println("cull timeout", patched.JSON200.Spec.Culling.TimeoutSeconds)

	guarantee, limit := 2.0, 1.0
	badOrder := knada.NotebookOrder{Resources: &knada.ResourcesOrder{
		Cpu: &knada.CpuResourcesOrder{Guarantee: &guarantee, Limit: &limit},
	}}
	ordered, err = client.PutNotebookWithResponse(ctx, slug, nil, badOrder)
	check(err)
	expect(ordered.StatusCode(), http.StatusBadRequest, ordered.Body)
	problem := ordered.ApplicationproblemJSON400
	for _, fault := range *problem.Errors {
		fmt.Println("problem", problem.Status, problem.Code, fault.Pointer, fault.Code)
	}
}

func expect(status, expected int, body []byte) {
	if status != expected {
		log.Fatalf("answered %d: %s", status, body)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
