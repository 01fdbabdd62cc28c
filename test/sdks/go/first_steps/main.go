// Orders a notebook, changes it and starts a server: first_steps <team>
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"example.com/notebooks/knada"
)

func main() {
	ctx := context.WithValue(context.Background(), knada.ContextAccessToken, os.Getenv("TOKEN"))
	configuration := knada.NewConfiguration()
	configuration.Servers = knada.ServerConfigurations{{URL: os.Getenv("API")}}
	client := knada.NewAPIClient(configuration)
	slug := os.Args[1]

	team, _, err := client.TeamsAPI.CreateTeam(ctx).TeamOrder(*knada.NewTeamOrder(slug)).Execute()
	check(err)
	notebook, _, err := client.NotebooksAPI.PutNotebook(ctx, slug).NotebookOrder(*knada.NewNotebookOrder()).Execute()
	check(err)
	for notebook.Status.Phase != "Ready" {
		time.Sleep(time.Second)
		notebook, _, err = client.NotebooksAPI.GetNotebook(ctx, slug).Execute()
		check(err)
	}
	fmt.Println("notebook", notebook.Status.Phase)

	_, response, err := client.NotebooksAPI.GetNotebook(ctx, slug).Execute()
	check(err)
	etag := response.Header.Get("ETag")
	culling := knada.NewCullingPatch()
	culling.SetTimeoutSeconds(7200)
	twoHours := knada.NewNotebookPatch()
	twoHours.SetCulling(*culling)
	notebook, _, err = client.NotebooksAPI.PatchNotebook(ctx, slug).NotebookPatch(*twoHours).IfMatch(etag).Execute()
	check(err)
	fmt.Println("cull timeout", notebook.Spec.Culling.TimeoutSeconds)
	_, _, err = client.NotebooksAPI.PatchNotebook(ctx, slug).NotebookPatch(*twoHours).IfMatch(etag).Execute()
	problem := problemOf(err)
	fmt.Println("conflict", problem.Status, problem.Code)

	settings := knada.NewMemberSettings()
	settings.SetRole("member")
	member, _, err := client.TeamsAPI.AddMember(ctx, slug, "ola.nordmann@nav.no").MemberSettings(*settings).Execute()
	check(err)
	fmt.Println("member", member.Email)
	notebook, _, err = client.EgressAPI.AddAllowlistHost(ctx, slug, "pypi.org").Execute()
	check(err)
	fmt.Println("allowlist", strings.Join(notebook.Spec.Allowlist.Hosts, " "))

	operation, _, err := client.ServersAPI.StartServer(ctx, slug, team.Members[0].Username).Execute()
	check(err)
	for !operation.Done {
		time.Sleep(time.Second)
		operation, _, err = client.ServersAPI.GetOperation(ctx, slug, operation.Id).Execute()
		check(err)
	}
	if failure, failed := operation.GetErrorOk(); failed {
		log.Fatalf("%s: %s", failure.Code, failure.Detail)
	}
	result := operation.GetResult()
	fmt.Println("server", operation.Progress, result.GetUrl())

	culling.SetTimeoutSecondsNil()
	byDefault := knada.NewNotebookPatch()
	byDefault.SetCulling(*culling)
	notebook, _, err = client.NotebooksAPI.PatchNotebook(ctx, slug).NotebookPatch(*byDefault).Execute()
	check(err)
	fmt.Println("cull timeout", notebook.Spec.Culling.TimeoutSeconds)

	cpu := knada.NewCpuResourcesOrder()
	cpu.SetGuarantee(2)
	cpu.SetLimit(1)
	resources := knada.NewResourcesOrder()
	resources.SetCpu(*cpu)
	badOrder := knada.NewNotebookOrder()
	badOrder.SetResources(*resources)
	_, _, err = client.NotebooksAPI.PutNotebook(ctx, slug).NotebookOrder(*badOrder).Execute()
	problem = problemOf(err)
	for _, fault := range problem.Errors {
		fmt.Println("problem", problem.Status, problem.Code, fault.Pointer, fault.Code)
	}
}

// problemOf returns the problem of a refused request.
func problemOf(err error) knada.Problem {
	var refused *knada.GenericOpenAPIError
	if errors.As(err, &refused) {
		if problem, ok := refused.Model().(knada.Problem); ok {
			return problem
		}
	}
	log.Fatalf("the request was not refused with a problem: %v", err)
	return knada.Problem{}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
