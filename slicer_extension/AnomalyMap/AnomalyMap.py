"""Slicer's module "Anomaly Map": finds what does not look healthy in a volume, and shows where.

What it does is in AnomalyMapLib; this file says how it hangs together.
"""

# ruff: noqa: N802, N815, PT009
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import slicer
import vtk
from AnomalyMapLib.bundles import shipped_bundles
from AnomalyMapLib.laying import is_map
from AnomalyMapLib.nodes import nodes_of_class
from AnomalyMapLib.overlay import DEFAULT_OPACITY
from AnomalyMapLib.results import AnomalyResult, result_from_dict
from AnomalyMapLib.sample_data import SAMPLE, register_sample_data
from AnomalyMapLib.scene import ResultScene
from AnomalyMapLib.volumes import write_volume
from AnomalyMapLib.widget_apply import ApplySection
from AnomalyMapLib.widget_choices import DEFAULT_BUNDLE, SliceDirection
from AnomalyMapLib.widget_display import DisplaySync
from AnomalyMapLib.widget_packages import child_python, own_python_lacks
from AnomalyMapLib.widget_result import ResultView
from AnomalyMapLib.widget_run import Run
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

MODULE_FOLDER = Path(__file__).resolve().parent


class AnomalyMap(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent) -> None:
        super().__init__(parent)
        self.parent.title = _("Anomaly Map")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = ["Plots", "Segmentations", "Markups", "VolumeRendering"]
        self.parent.contributors = ["monai-sagan contributors"]
        self.parent.helpText = _(
            "Finds what does not look healthy in a volume, and shows where. For research, not for diagnosis. "
            'See <a href="{url}">how it is used</a>.'
        ).format(url="https://github.com/monai-sagan/SlicerAnomalyMap/blob/main/docs/how-to/slicer.md")
        self.parent.acknowledgementText = _(
            "The methods are those of Zhang et al., SAGAN, MICCAI 2024 (arXiv:2405.12872), and Xu et al., global "
            "spatial attention, 2020 (arXiv:2007.15897)."
        )
        slicer.app.connect("startupCompleted()", lambda: register_sample_data(MODULE_FOLDER))


@parameterNodeWrapper
class AnomalyMapParameterNode:
    """What is kept in the scene: what a user chose, and the nodes of the result (see `AnomalyMapLib.nodes.ROLES`)."""

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    bundle: str = ""
    sliceDirection: SliceDirection = SliceDirection.BUNDLE
    device: str = "auto"
    judgeOod: bool = False
    threshold: Annotated[float, WithinRange(0, 1e9)] = 0.0
    opacity: Annotated[float, WithinRange(0, 1)] = DEFAULT_OPACITY
    rendering: bool = False
    # Slicer reads this file before it has loaded the modules that some nodes are of; these have classes of its core.
    anomalyMap: slicer.vtkMRMLScalarVolumeNode
    segmentation: slicer.vtkMRMLDisplayableNode
    scoreTable: slicer.vtkMRMLTableNode
    scoreSeries: slicer.vtkMRMLPlotSeriesNode
    scoreChart: slicer.vtkMRMLPlotChartNode
    findingTable: slicer.vtkMRMLTableNode
    peakMarker: slicer.vtkMRMLDisplayableNode
    colorTable: slicer.vtkMRMLColorTableNode
    volumeProperty: slicer.vtkMRMLStorableNode
    volumeRendering: slicer.vtkMRMLDisplayNode


class AnomalyMapWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: connects its sections with the parameters and the result in the scene."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameters: AnomalyMapParameterNode | None = None
        self._gui_tag: int | None = None
        self._shown: tuple[str | None, ...] = ()

    def setup(self) -> None:
        """Makes the panel, when the module is opened for the first time."""
        super().setup()
        panel = slicer.util.loadUI(self.resourcePath("UI/AnomalyMap.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = AnomalyMapLogic()
        self.apply = ApplySection(self.ui, MODULE_FOLDER, self._take_over)
        self.display = DisplaySync(self.ui.thresholdSlider)
        self.result = ResultView(self.ui)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_start_close)
        for event in (scene.EndCloseEvent, scene.EndImportEvent, scene.EndRestoreEvent):
            self.addObserver(scene, event, self._on_scene_changed)
        self.addObserver(scene, scene.EndBatchProcessEvent, self._on_batch_end)
        self._take_up()

    def enter(self) -> None:
        """Takes up what has changed while another module was open."""
        self._take_up()

    def exit(self) -> None:
        """Leaves the scene to itself while another module is open; a run goes on."""
        self._leave()

    def cleanup(self) -> None:
        """Ends all that goes on by itself, when Slicer is closed or the module reloaded."""
        self.apply.close()
        self._leave()
        self.removeObservers()

    def _on_scene_start_close(self, caller: Any, event: Any) -> None:
        self.apply.run.forget()
        self.result.notice.forget()
        self._leave()

    def _on_scene_changed(self, caller: Any, event: Any) -> None:
        if self.parent.isEntered:
            self._take_up()

    def _on_batch_end(self, caller: Any, event: Any) -> None:
        # Nothing is followed during a batch. What others changed comes first, or the parameters would undo it.
        self.display.from_scene()
        self._update()

    def _take_up(self) -> None:
        self._leave()
        scene = ResultScene(self.logic.holder)
        if scene.is_unseen:  # it came while another module was open
            scene.show_in_views()
        # Before it is wrapped, and called last: VTK calls the first of equal observers after all others, and a wrapper
        # whose memory of a parameter is renewed after its widget is shows what was.
        self.addObserver(self.logic.holder, vtk.vtkCommand.ModifiedEvent, self._update, priority=-1.0)
        parameters = self._parameters = self.logic.getParameterNode()
        if parameters.inputVolume is None:
            parameters.inputVolume = _first_volume()
        if not parameters.bundle:
            parameters.bundle = self.apply.bundles.default
        self._gui_tag = parameters.connectParametersToGui(self.apply.bindings())
        self._follow_result()
        self._update()

    def _leave(self) -> None:
        if self._parameters is None:
            return
        self._parameters.disconnectGui(self._gui_tag)
        self.removeObserver(self._parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._update)
        self.display.detach()
        self.result.notice.leave()
        self._parameters = self._gui_tag = None
        self.apply.show(None)

    def _update(self, caller: Any = None, event: Any = None) -> None:
        """Lets the panel and the result's display follow the parameters."""
        if self._gui_tag is None or slicer.mrmlScene.IsBatchProcessing():
            return
        if self._shown != self._ids_of_result():
            self._follow_result()
        self.result.show_kept()
        self.display.to_scene(lambda: slicer.modules.volumerendering.logic())
        self.apply.show(self._parameters)

    def _follow_result(self) -> None:
        self._shown = self._ids_of_result()
        scene = ResultScene(self._parameters.parameterNode)
        self.display.attach(self._parameters, scene)
        self.result.show(scene)

    def _ids_of_result(self) -> tuple[str | None, ...]:
        holder = self._parameters.parameterNode
        nodes = [holder.GetNodeReference(role) for role in ("anomalyMap", "scoreTable", "scoreChart")]
        return (holder.GetParameter("result"), *(node and node.GetID() for node in nodes))

    def _take_over(self, result: AnomalyResult, input_node: slicer.vtkMRMLVolumeNode) -> None:
        is_entered = self.parent.isEntered
        scene = self.logic.show(result, input_node, take_views=is_entered)
        self.result.notice.remember(scene.result, self.apply.run.voxels_time)
        if not is_entered:
            sentence = _("Anomaly Map: the result of {volume} is there. Open the module to see it.")
            slicer.util.showStatusMessage(sentence.format(volume=input_node.GetName()))
        if self._parameters is not None:
            self._follow_result()


def _first_volume() -> slicer.vtkMRMLScalarVolumeNode | None:
    """A volume that the panel offers and that is no map, best one that is seen; the first of several.

    Label maps and colour pictures have other classes.
    """
    scene, name = slicer.mrmlScene, "vtkMRMLScalarVolumeNode"
    volumes = [node for node in nodes_of_class(scene, name) if node.GetClassName() == name and not is_map(node)]
    composites = nodes_of_class(scene, "vtkMRMLSliceCompositeNode")
    seen = {composite.GetBackgroundVolumeID() for composite in composites}
    return min(volumes, key=lambda node: node.GetID() not in seen, default=None)


class AnomalyMapLogic(ScriptedLoadableModuleLogic):
    """What can be done without the panel."""

    @property
    def holder(self) -> slicer.vtkMRMLScriptedModuleNode:
        """The module's node in the scene, made if there is none."""
        return super().getParameterNode()

    def getParameterNode(self) -> AnomalyMapParameterNode:
        """The module's parameters in the scene."""
        return AnomalyMapParameterNode(self.holder)

    def show(
        self, result: AnomalyResult, input_node: slicer.vtkMRMLVolumeNode, *, take_views: bool = True
    ) -> ResultScene:
        """Lays a result over the volume that it was computed of.

        Args:
            result: the result.
            input_node: the volume.
            take_views: whether it is shown in all slice views, see :meth:`.ResultScene.lay`.

        Raises:
            VolumeError: if they do not belong together.
        """
        scene = ResultScene(self.holder)
        with slicer.util.NodeModify(scene.holder):  # the panel looks when all is there
            scene.lay(result, input_node, take_views=take_views)
        return scene


class AnomalyMapTest(ScriptedLoadableModuleTest):
    """Runs in Slicer, on the phantom."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        for test in (self.test_result_is_shown, self.test_whole_way):
            self.setUp()
            test()

    def test_result_is_shown(self) -> None:
        """A volume is laid over itself, as if it were its map."""
        volume = self._load_phantom()
        values = {"schema_version": "2.0", "input": "phantom", "bundle": {"name": "by hand", "version": "1"}}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "map.nrrd"
            write_volume(volume, path)
            scene = AnomalyMapLogic().show(result_from_dict(values, path), volume)
        self.assertGreater(scene.make_segment(), 0)
        self.assertIs(AnomalyMapLogic().getParameterNode().anomalyMap, scene.node("anomalyMap"))
        self.delayDisplay("The result is shown.")

    def test_whole_way(self) -> None:
        """The bundle that ships maps the volume, where Slicer's Python has what it needs; nothing is installed."""
        if lacks := own_python_lacks(MODULE_FOLDER):
            self.delayDisplay(f"The child process was not tested: Slicer's Python lacks {', '.join(lacks)}.")
            return
        volume, logic = self._load_phantom(), AnomalyMapLogic()
        (bundle,) = (bundle for bundle in shipped_bundles(MODULE_FOLDER) if bundle.path.name == DEFAULT_BUNDLE)
        run = Run(lambda: None, logic.show)
        run.start(
            child_python(MODULE_FOLDER, ""),
            volume,
            bundle.path,
            device="cpu",
            slice_direction=None,
            judge_ood=False,
        )
        deadline = time.monotonic() + 300
        while run.is_running and time.monotonic() < deadline:
            slicer.app.processEvents()
        run.close()
        self.assertIsNotNone(logic.getParameterNode().anomalyMap, f"{run.status}\n{run.log}")
        self.delayDisplay("The whole way was gone.")

    def _load_phantom(self) -> slicer.vtkMRMLScalarVolumeNode:
        import SampleData

        register_sample_data(MODULE_FOLDER)
        return SampleData.downloadSample(SAMPLE)
