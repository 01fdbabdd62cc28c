import com.fasterxml.jackson.core.JsonProcessingException;
import java.util.List;
import no.nav.knada.ApiClient;
import no.nav.knada.ApiException;
import no.nav.knada.ApiResponse;
import no.nav.knada.api.EgressApi;
import no.nav.knada.api.NotebooksApi;
import no.nav.knada.api.ServersApi;
import no.nav.knada.api.TeamsApi;
import no.nav.knada.model.CpuResourcesOrder;
import no.nav.knada.model.CullingPatch;
import no.nav.knada.model.Fault;
import no.nav.knada.model.Member;
import no.nav.knada.model.MemberSettings;
import no.nav.knada.model.Notebook;
import no.nav.knada.model.NotebookOrder;
import no.nav.knada.model.NotebookPatch;
import no.nav.knada.model.Operation;
import no.nav.knada.model.Problem;
import no.nav.knada.model.ResourcesOrder;
import no.nav.knada.model.Team;
import no.nav.knada.model.TeamOrder;

/** Orders a notebook, changes it and starts a server: FirstSteps <team> */
public final class FirstSteps {
    public static void main(String[] arguments) throws Exception {
        String slug = arguments[0];
        ApiClient client = new ApiClient();
        client.updateBaseUri(System.getenv("API"));
        client.setRequestInterceptor(
                request -> request.header("Authorization", "Bearer " + System.getenv("TOKEN")));
        TeamsApi teams = new TeamsApi(client);
        NotebooksApi notebooks = new NotebooksApi(client);
        ServersApi servers = new ServersApi(client);

        Team team = teams.createTeam(new TeamOrder().slug(slug), null);
        Notebook notebook = notebooks.putNotebook(slug, new NotebookOrder(), null, null);
        while (!"Ready".equals(notebook.getStatus().getPhase())) {
            Thread.sleep(1_000);
            notebook = notebooks.getNotebook(slug, null);
        }
        System.out.println("notebook " + notebook.getStatus().getPhase());

        ApiResponse<Notebook> read = notebooks.getNotebookWithHttpInfo(slug, null);
        String etag = read.getHeaders().get("etag").get(0);
        NotebookPatch twoHours = new NotebookPatch().culling(new CullingPatch().timeoutSeconds(7_200L));
        notebook = notebooks.patchNotebook(slug, twoHours, etag);
        System.out.println("cull timeout " + notebook.getSpec().getCulling().getTimeoutSeconds());
        try {
            notebooks.patchNotebook(slug, twoHours, etag);
        } catch (ApiException refused) {
            Problem problem = problemOf(client, refused);
            System.out.println("conflict " + problem.getStatus() + " " + problem.getCode());
        }

        MemberSettings settings = new MemberSettings().role(MemberSettings.RoleEnum.MEMBER);
        Member member = teams.addMember(slug, "ola.nordmann@nav.no", null, settings);
        System.out.println("member " + member.getEmail());
        notebook = new EgressApi(client).addAllowlistHost(slug, "pypi.org", null);
        System.out.println("allowlist " + String.join(" ", notebook.getSpec().getAllowlist().getHosts()));

        Operation operation = servers.startServer(slug, team.getMembers().get(0).getUsername(), null);
        while (!operation.getDone()) {
            Thread.sleep(1_000);
            operation = servers.getOperation(slug, operation.getId());
        }
        if (operation.getError() != null) {
            throw new IllegalStateException(operation.getError().getDetail());
        }
        System.out.println("server " + operation.getProgress() + " " + operation.getResult().getUrl());

        NotebookPatch byDefault = new NotebookPatch().culling(new CullingPatch().timeoutSeconds(null));
        notebook = notebooks.patchNotebook(slug, byDefault, null);
        System.out.println("cull timeout " + notebook.getSpec().getCulling().getTimeoutSeconds());

        CpuResourcesOrder cpu = new CpuResourcesOrder().guarantee(2.0).limit(1.0);
        try {
            NotebookOrder badOrder = new NotebookOrder().resources(new ResourcesOrder().cpu(cpu));
            notebooks.putNotebook(slug, badOrder, null, null);
        } catch (ApiException refused) {
            Problem problem = problemOf(client, refused);
            List<Fault> faults = problem.getErrors();
            for (Fault fault : faults) {
                System.out.println("problem " + problem.getStatus() + " " + problem.getCode()
                        + " " + fault.getPointer() + " " + fault.getCode());
            }
        }
    }

    /** The problem of a refused request: this generator leaves the body of an error unread. */
    static Problem problemOf(ApiClient client, ApiException refused) throws JsonProcessingException {
        return client.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
    }
}
